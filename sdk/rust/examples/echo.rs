//! Answers every message with its own body, and counts them.

use tickwork::{Agent, Context, Effect, Identity, Level, Message};

struct Echo {
    id: String,
    answered: u64,
}

impl Agent for Echo {
    fn setup(me: Identity) -> Result<Self, String> {
        let config = String::from_utf8_lossy(&me.config);
        let answered = match config.as_ref() {
            "" => 0,
            number => number.parse().map_err(|_| format!("{number:?} is not a number to count from"))?,
        };
        Ok(Echo { id: me.id, answered })
    }

    fn step(&mut self, now: &Context, inbox: &[Message]) -> Result<Vec<Effect>, String> {
        let mut effects: Vec<Effect> =
            inbox.iter().map(|message| Effect::reply(message, message.topic(), message.body())).collect();
        self.answered += inbox.len() as u64;
        let line = format!("{} has answered {} by tick {}", self.id, self.answered, now.tick);
        effects.push(Effect::log(Level::Info, line));
        Ok(effects)
    }
}

tickwork::export_agent!(Echo);
