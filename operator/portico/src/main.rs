//! The program `portico`.

mod answer;
mod ask;
mod cli;
mod commands;
mod config;
mod operator;
mod portal;
mod report;
mod state;
mod tree;
mod up;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use cli::{Cli, Command, LogFormat};

/// Many small objects live long, and what comes and goes between them should leave no holes; and the allocator of musl,
/// which the container's program would have, takes one thread at a time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match config::arguments(std::env::args_os(), &|name| std::env::var_os(name)) {
        Ok(arguments) => arguments,
        Err(error) => {
            commands::complain(&error);
            return ExitCode::from(2);
        }
    };
    let Cli { command } = Cli::parse_from(arguments);
    match &command {
        // It begins its log by itself, since traces are part of it.
        Command::Operator(_) => {}
        Command::Up(options) => log(options.log_format, "warn", None),
        _ => log(LogFormat::Text, "warn", None),
    }
    match commands::run(command) {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "failed");
            commands::complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Begins to write log messages, and to send spans where there is somewhere to send them.
fn log(format: LogFormat, level: &str, traces: Option<&SdkTracerProvider>) {
    let filter = EnvFilter::try_from_env("PORTICO_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // Whoever wants fewer lines has not asked for fewer spans.
    let traces = traces.map(|traces| {
        tracing_opentelemetry::layer().with_tracer(traces.tracer("portico")).with_filter(LevelFilter::INFO)
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).init();
}
