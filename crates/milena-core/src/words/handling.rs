//! The policies for a lane, a batch and a handler that do not go on.

use super::table::words;

/// The policy for a lane that cannot continue, since its record could be neither processed nor
/// dead-lettered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneStopPolicy {
    /// The consumer ends with an error after its other lanes have drained. The default. No record
    /// is lost, and the error cannot be missed.
    #[default]
    Stop,
    /// The partition stays paused and its record unsettled, and the other partitions continue. The
    /// event `LaneStopped` turns health red.
    Pause,
}

words! {
    LaneStopPolicy of "on_lane_stop" {
        Stop = "stop",
        Pause = "pause",
    }
}

/// The policy for a batch that cannot be read, since its checksum is wrong, it does not decompress,
/// or it would exceed the size limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CorruptPolicy {
    /// Report an error with topic, partition and offset, and do not read on. The lane of a handler
    /// stops, and a receiver gets the error. The default, so that no record is lost unnoticed.
    #[default]
    Stop,
    /// Skip the batch. The event `CorruptSkipped` reports it, and the run's report counts it.
    ///
    /// If the checksum of a batch is wrong, its header may be wrong too, so the batch is assumed to
    /// end where the next batch starts. If no next batch comes after some tries, or the header
    /// cannot even be read, the end is unknown. Then this acts like `Stop`.
    Skip,
}

words! {
    CorruptPolicy of "on_corrupt" {
        Stop = "stop",
        Skip = "skip",
    }
}

/// The policy for a handler that has a record for longer than `max_processing_time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StuckPolicy {
    /// Report it with the event `HandlerStuck` and in the log, and continue to wait. The default,
    /// since a slow handler is not always wrong.
    #[default]
    Report,
    /// Also stop its lane, as [`LaneStopPolicy`] says. With `Stop` the consumer ends, and other
    /// members get the partition. A consumer that receives without a handler ends if records wait
    /// and are not received.
    StopLane,
}

words! {
    StuckPolicy of "on_stuck" {
        Report = "report",
        StopLane = "stop_lane",
    }
}
