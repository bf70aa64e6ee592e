//! The program as the process that runs networks of other programs' files.

use std::process::ExitCode;

use wattif_core::runner;

/// Does what the process that runs networks does, where this is it; else says that this program is one.
pub(super) fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == runner::ARGUMENT)
    {
        let memory = arguments
            .next()
            .and_then(|text| text.to_str()?.parse().ok());
        runner::serve(memory.unwrap_or(u64::MAX));
        return Some(ExitCode::SUCCESS);
    }
    if let Ok(program) = std::env::current_exe() {
        runner::set_program(program);
    }
    None
}
