//! Asks everything of Rust's standard library that virtual WASI answers.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant, SystemTime};
use std::{env, process, thread};

use tickwork::{Agent, Context, Effect, Identity, Message};

struct Asker;

fn report(name: &str, value: impl ToString) -> Effect {
    Effect::output(name, value.to_string())
}

fn wall_ns() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

impl Agent for Asker {
    fn setup(_: Identity) -> Result<Self, String> {
        Ok(Asker)
    }

    fn step(&mut self, now: &Context, _: &[Message]) -> Result<Vec<Effect>, String> {
        println!("tick {}", now.tick);
        io::stderr().write_all("oops".as_bytes()).map_err(|error| error.to_string())?;
        let (start, before) = (Instant::now(), wall_ns());
        thread::sleep(Duration::from_millis(1500));
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
        let absent = File::open("/etc/passwd").map_or_else(|error| error.kind(), |_| ErrorKind::Other);
        if now.tick == 9 {
            process::exit(3);
        }
        Ok(vec![
            report("before", before),
            report("after", wall_ns()),
            report("slept", start.elapsed().as_nanos()),
            report("arguments", env::args().count()),
            report("environment", env::vars().count()),
            report("input", read),
            report("no such file", absent != ErrorKind::Other),
            report("random", RandomState::new().build_hasher().finish()),
        ])
    }
}

tickwork::export_agent!(Asker);
