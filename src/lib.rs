//! The two faces of WattIf: the window ([`app`]) and the command line ([`cli`]). Both show numbers of the same engine.

pub mod app;
pub mod cli;
pub mod format;
pub mod machine;
mod words;
