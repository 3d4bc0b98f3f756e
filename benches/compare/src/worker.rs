//! A process with one client. The driver starts it with a task and reads a line of JSON.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::case::{Sample, Task};
use crate::{clients, consume, measure};

/// Runs the worker's side.
pub(crate) fn run(task: &str) -> Result<(), String> {
    let task: Task = serde_json::from_str(task).map_err(|error| error.to_string())?;
    let sample = match task {
        Task::Produce(job) => {
            measure::stay_on(&job.cores);
            clients::produce(&job)?
        }
        Task::Consume(job) => {
            measure::stay_on(&job.cores);
            consume::measure(&job)?
        }
        Task::Feed(job) => consume::feed(&job)?,
    };
    let line = serde_json::to_string(&sample).map_err(|error| error.to_string())?;
    println!("{line}");
    // Other clients may block at exit while they close connections. The measurement is over.
    std::process::exit(0);
}

/// A worker that runs at the same time and is killed on drop.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a task without an end of its own, for the driver.
pub(crate) fn start(task: &Task) -> Result<Running, String> {
    let child = command(task)?.stdout(Stdio::null()).spawn();
    child
        .map(Running)
        .map_err(|error| format!("cannot start a worker: {error}"))
}

fn command(task: &Task) -> Result<Command, String> {
    let text = serde_json::to_string(task).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["worker", &text]);
    Ok(command)
}

/// Runs a task in a process of its own, for at most `seconds` seconds. For the driver.
pub(crate) fn measure(task: &Task, seconds: f64) -> Result<Sample, String> {
    let mut child = command(task)?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start a worker: {error}"))?;
    let out = drain(child.stdout.take());
    let complaints = drain(child.stderr.take());
    let ended = wait(&mut child, Duration::from_secs_f64(seconds))?;
    let (out, complaints) = (text_of(out), text_of(complaints));
    if ended {
        let last = out.lines().last().unwrap_or_default();
        if let Ok(sample) = serde_json::from_str(last) {
            return Ok(sample);
        }
    }
    let why = complaints.lines().rfind(|line| !line.trim().is_empty());
    match (ended, why) {
        (false, _) => Err("the worker gave no result in time".to_owned()),
        (true, Some(why)) => Err(why.trim().to_owned()),
        (true, None) => Err("the worker ended without an error text".to_owned()),
    }
}

/// Waits for the worker. Returns true if it ended by itself.
fn wait(child: &mut Child, limit: Duration) -> Result<bool, String> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(_)) => return Ok(true),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error.to_string()),
        }
    }
    drop(child.kill());
    drop(child.wait());
    Ok(false)
}

type Text = std::thread::JoinHandle<String>;

/// Reads a pipe in a thread, so that a worker with much output does not block.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Text {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            drop(pipe.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn text_of(text: Text) -> String {
    text.join().unwrap_or_default()
}
