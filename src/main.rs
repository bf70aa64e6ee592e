//! `wattif` without arguments is the window; with a command it is the command line.

fn main() -> std::process::ExitCode {
    wattif::cli::main()
}
