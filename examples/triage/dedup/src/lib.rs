//! A deduplicator: tells repeated reports of an incident from new ones, for the teams of its shard.
//!
//! Config: `window`, in ticks, and `likeness`, in percent. Takes `ticket` from the router and passes each on to its
//! team's desk as a `report` of an incident.

mod fingerprint;

use fingerprint::Fingerprint;
use tickwork::json::{self, Value};
use tickwork::{Agent, Context, Effect, Identity, Message};

/// An incident that a further ticket may still belong to.
struct Incident {
    id: String,
    team: String,
    fingerprint: Fingerprint,
    last_report: u64,
}

struct Dedup {
    window: u64,
    likeness: u64,
    incidents: Vec<Incident>,
}

impl Agent for Dedup {
    fn setup(me: Identity) -> Result<Self, String> {
        let config = json::parse(&me.config).ok_or("the config is not JSON")?;
        Ok(Dedup { window: number(&config, "window")?, likeness: number(&config, "likeness")?, incidents: Vec::new() })
    }

    fn step(&mut self, _now: &Context, inbox: &[Message]) -> Result<Vec<Effect>, String> {
        let mut effects = Vec::new();
        for message in inbox.iter().filter(|message| message.topic() == "ticket") {
            self.file(message, &mut effects)?;
        }
        effects.push(Effect::metric("incidents", self.incidents.len() as f64));
        Ok(effects)
    }
}

impl Dedup {
    /// Finds the incident that a ticket reports, or opens one, and says which it is.
    fn file(&mut self, message: &Message, effects: &mut Vec<Effect>) -> Result<(), String> {
        let ticket = json::parse(message.body()).ok_or("a ticket is not JSON")?;
        let (id, team, accepted) = (text(&ticket, "id")?, text(&ticket, "team")?, number(&ticket, "accepted")?);
        let fingerprint = Fingerprint::of(&format!("{} {}", text(&ticket, "title")?, text(&ticket, "text")?));

        // Tickets come in the order of their acceptance, so what is out of the window stays out.
        let (window, likeness) = (self.window, self.likeness);
        self.incidents.retain(|incident| accepted - incident.last_report <= window);
        let known = self
            .incidents
            .iter_mut()
            .find(|incident| incident.team == team && incident.fingerprint.is_like(&fingerprint, likeness));
        let incident = match known {
            Some(known) => {
                known.last_report = accepted;
                let merged = format!(r#"{{"incident":{},"ticket":{}}}"#, json::quote(&known.id), json::quote(id));
                effects.push(Effect::send("reporter", "merged", merged));
                known.id.clone()
            }
            None => {
                let opened = Incident { id: id.into(), team: team.into(), fingerprint, last_report: accepted };
                self.incidents.push(opened);
                id.into()
            }
        };
        let ticket = message.text().map_err(|error| error.to_string())?;
        let report = format!(r#"{{"incident":{},"ticket":{}}}"#, json::quote(&incident), ticket);
        effects.push(Effect::send(format!("triage-{team}"), "report", report));
        Ok(())
    }
}

fn text<'a>(object: &'a Value, key: &str) -> Result<&'a str, String> {
    object.get(key).and_then(Value::as_str).ok_or_else(|| format!("there is no text {key:?}"))
}

fn number(object: &Value, key: &str) -> Result<u64, String> {
    let number = object.get(key).and_then(Value::as_i64).and_then(|number| number.try_into().ok());
    number.ok_or_else(|| format!("there is no number {key:?}"))
}

#[cfg(target_arch = "wasm32")]
tickwork::export_agent!(Dedup);
