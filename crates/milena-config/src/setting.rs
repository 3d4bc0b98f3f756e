//! A setting with its way into a draft, and the table that makes both.

use crate::key::Key;
use crate::value::Raw;

/// A setting of one section of the client.
pub(crate) struct Setting<D: 'static> {
    /// Its name, meaning, default and accepted values.
    pub(crate) key: Key,
    /// Explains why a value is refused. `None` if `allowed` says enough.
    pub(crate) why: fn(&Raw) -> Option<String>,
    /// Reads a value into the draft of the section. Returns false if the value is refused, and then
    /// leaves the draft as it is.
    pub(crate) read: fn(&Raw, &mut D) -> bool,
}

/// Makes the draft of a section and the table of its settings. A line has the name of the setting,
/// its type, Kafka's name, the form of its values, its default and its meaning.
macro_rules! settings {
    (
        $(#[$doc:meta])*
        $draft:ident of $section:ident {
            $($name:ident: $type:ty = $kafka:literal, $form:expr, $default:literal, $about:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub struct $draft {
            $(#[doc = $about] pub $name: Option<$type>,)*
        }

        impl $draft {
            /// Replaces the settings that `later` has.
            pub(crate) fn merge(&mut self, later: Self) {
                $(if later.$name.is_some() {
                    self.$name = later.$name;
                })*
            }
        }

        /// The settings of the section, in the order of the documentation.
        pub(crate) const SETTINGS: &[$crate::setting::Setting<$draft>] = &[
            $($crate::setting::Setting {
                key: $crate::key::Key {
                    section: $crate::section::Section::$section,
                    name: stringify!($name),
                    kafka: $kafka,
                    allowed: $form.allowed,
                    default: $default,
                    about: $about,
                },
                why: $form.why,
                read: |raw, draft| {
                    let read = ($form.read)(raw);
                    let taken = read.is_some();
                    if taken {
                        draft.$name = read;
                    }
                    taken
                },
            },)*
        ];
    };
}

pub(crate) use settings;
