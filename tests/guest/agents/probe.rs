//! Does what each message's topic says, so that tests can reach every function of the crate.

use tickwork::json::{parse, quote, Value};
use tickwork::{Agent, Context, Effect, Identity, Level, Message, Random};

struct Probe {
    me: Identity,
    remembered: Vec<u8>,
}

impl Agent for Probe {
    fn setup(me: Identity) -> Result<Self, String> {
        if me.config == "fail".as_bytes() {
            return Err("told to fail".into());
        }
        Ok(Probe { me, remembered: Vec::new() })
    }

    fn step(&mut self, now: &Context, inbox: &[Message]) -> Result<Vec<Effect>, String> {
        let mut effects = Vec::new();
        for message in inbox {
            let answer: Vec<u8> = match message.topic() {
                "every effect" => {
                    effects.extend(every_effect());
                    continue;
                }
                "echo" => {
                    effects.push(Effect::reply(message, message.topic(), message.body()));
                    continue;
                }
                "remember" => {
                    self.remembered = message.body().into();
                    continue;
                }
                "fail" => return Err(message.text().map_err(|error| error.to_string())?.into()),
                "panic" => panic!("told to"),
                "recall" => self.remembered.clone(),
                "who" => [self.me.id.as_bytes(), "|".as_bytes(), &self.me.config].concat(),
                "context" => {
                    let mut random = Random::new(now.seed);
                    let (first, second) = (random.next_u64(), random.next_u64());
                    format!("{} {} {} {} {first} {second} ", now.tick, now.now_ns, now.seed, now.fuel).into()
                }
                "json" => write(&parse(message.body())).into(),
                "quote" => quote(message.text().map_err(|error| error.to_string())?).into(),
                "debug" => format!("{message:?}").into(),
                other => return Err(format!("no topic {other}")),
            };
            effects.push(Effect::output("out", answer));
        }
        Ok(effects)
    }
}

fn every_effect() -> Vec<Effect> {
    vec![
        Effect::send("a", "t", "body"),
        Effect::send_numbered("a", "", "body", u64::MAX),
        Effect::publish("news", "Body"),
        Effect::infer("model", "Body", 1),
        Effect::call("tool", "Body", 2),
        Effect::output("out", "Body"),
        Effect::timer("wake", "Body", 3, 4),
        Effect::cancel_timer(5),
        Effect::log(Level::Warn, "careful"),
        Effect::metric("load", 0.5),
        Effect::spawn("worker/1", "worker", "Body"),
        Effect::stop_agent("b", "why"),
        Effect::stop("done"),
    ]
}

/// Writes what was read as JSON again, or nothing.
fn write(value: &Option<Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Null) => "null".into(),
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Float(number)) => format!("{number:e}"),
        Some(Value::String(text)) => quote(text),
        Some(Value::Array(elements)) => {
            let written: Vec<String> = elements.iter().map(|element| write(&Some(element.clone()))).collect();
            format!("[{}]", written.join(","))
        }
        Some(Value::Object(members)) => {
            let member =
                |(name, value): &(String, Value)| format!("{}:{}", quote(name), write(&Some(value.clone())));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
    }
}

tickwork::export_agent!(Probe);
