//! The program `portico`.

mod answer;
mod ask;
mod cli;
mod commands;
mod operator;
mod report;
mod state;
mod tree;
mod up;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command, LogFormat};

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let quiet = !matches!(&command, Command::Operator(_));
    let format = match &command {
        Command::Up(up) => up.log_format,
        Command::Operator(operator) => operator.log_format,
        _ => LogFormat::Text,
    };
    log(format, if quiet { "warn" } else { "info" });
    match commands::run(command) {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "failed");
            commands::complain(&error);
            ExitCode::from(2)
        }
    }
}

fn log(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_env("PORTICO_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
