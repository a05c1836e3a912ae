#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sockunit::builtin::main()
}
