//! What an agent may ask for.

use alloc::{string::String, vec::Vec};

use crate::{layout, layout::Bytes, Message};

/// The severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Something that an agent asks for; the functions below are the short way to make one.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Effect {
    Send { to: String, topic: String, body: Vec<u8>, reply_to: Option<u64> },
    Publish { topic: String, body: Vec<u8> },
    Infer { model: String, body: Vec<u8>, request: u64 },
    Call { tool: String, body: Vec<u8>, request: u64 },
    Output { name: String, body: Vec<u8> },
    Timer { topic: String, body: Vec<u8>, after_ticks: u64, request: u64 },
    Log { level: Level, text: String },
    Metric { name: String, value: f64 },
    Spawn { id: String, kind: String, config: Vec<u8> },
    Stop { id: Option<String>, reason: String },
}

impl Effect {
    /// A message to the agent `to`, in the next tick.
    pub fn send(to: impl Into<String>, topic: impl Into<String>, body: impl Into<Vec<u8>>) -> Effect {
        Effect::Send { to: to.into(), topic: topic.into(), body: body.into(), reply_to: None }
    }

    /// The same with a number: on a request the one its answer shall bear, on an answer that number.
    pub fn send_numbered(
        to: impl Into<String>,
        topic: impl Into<String>,
        body: impl Into<Vec<u8>>,
        reply_to: u64,
    ) -> Effect {
        Effect::Send { to: to.into(), topic: topic.into(), body: body.into(), reply_to: Some(reply_to) }
    }

    /// An answer to `message`, with its number if it has one.
    pub fn reply(message: &Message<'_>, topic: impl Into<String>, body: impl Into<Vec<u8>>) -> Effect {
        Effect::Send {
            to: message.sender().into(),
            topic: topic.into(),
            body: body.into(),
            reply_to: message.reply_to(),
        }
    }

    /// A message to every agent that subscribes to `topic`.
    pub fn publish(topic: impl Into<String>, body: impl Into<Vec<u8>>) -> Effect {
        Effect::Publish { topic: topic.into(), body: body.into() }
    }

    /// A request to a model; its answer is a message with `reply_to` = `request`.
    pub fn infer(model: impl Into<String>, body: impl Into<Vec<u8>>, request: u64) -> Effect {
        Effect::Infer { model: model.into(), body: body.into(), request }
    }

    /// A request to a tool; its answer is a message with `reply_to` = `request`.
    pub fn call(tool: impl Into<String>, body: impl Into<Vec<u8>>, request: u64) -> Effect {
        Effect::Call { tool: tool.into(), body: body.into(), request }
    }

    /// A record for the run's output `name`.
    pub fn output(name: impl Into<String>, body: impl Into<Vec<u8>>) -> Effect {
        Effect::Output { name: name.into(), body: body.into() }
    }

    /// A message on `topic` to oneself, `after_ticks` ticks from now. `request` names the timer, and setting
    /// it again replaces it.
    pub fn timer(
        topic: impl Into<String>,
        body: impl Into<Vec<u8>>,
        after_ticks: u64,
        request: u64,
    ) -> Effect {
        Effect::Timer { topic: topic.into(), body: body.into(), after_ticks, request }
    }

    /// The end of the timer `request`.
    pub fn cancel_timer(request: u64) -> Effect {
        Effect::timer("", "", 0, request)
    }

    /// A line for whoever inspects the run.
    pub fn log(level: Level, text: impl Into<String>) -> Effect {
        Effect::Log { level, text: text.into() }
    }

    /// A number for whoever inspects the run.
    pub fn metric(name: impl Into<String>, value: f64) -> Effect {
        Effect::Metric { name: name.into(), value }
    }

    /// A new agent of a declared kind; its id must be `KIND/NAME`.
    pub fn spawn(id: impl Into<String>, kind: impl Into<String>, config: impl Into<Vec<u8>>) -> Effect {
        Effect::Spawn { id: id.into(), kind: kind.into(), config: config.into() }
    }

    /// The end of this agent.
    pub fn stop(reason: impl Into<String>) -> Effect {
        Effect::Stop { id: None, reason: reason.into() }
    }

    /// The end of the agent `id`.
    pub fn stop_agent(id: impl Into<String>, reason: impl Into<String>) -> Effect {
        Effect::Stop { id: Some(id.into()), reason: reason.into() }
    }

    /// The effect in the ABI's layout; it points into `self`.
    pub(crate) fn lower(&self) -> layout::Effect {
        let text = |text: &str| Bytes::of(text.as_bytes());
        let named = |name: &str, body: &[u8]| layout::Named { name: text(name), body: Bytes::of(body) };
        let request = |name: &str, body: &[u8], request: u64| layout::Request {
            name: text(name),
            body: Bytes::of(body),
            request,
        };
        let (case, payload) = match self {
            Effect::Send { to, topic, body, reply_to } => {
                let reply_to =
                    layout::OptionU64 { some: reply_to.is_some().into(), value: reply_to.unwrap_or(0) };
                let send = layout::Send { to: text(to), topic: text(topic), body: Bytes::of(body), reply_to };
                (0, layout::Payload { send })
            }
            Effect::Publish { topic, body } => (1, layout::Payload { named: named(topic, body) }),
            Effect::Infer { model, body, request: number } => {
                (2, layout::Payload { request: request(model, body, *number) })
            }
            Effect::Call { tool, body, request: number } => {
                (3, layout::Payload { request: request(tool, body, *number) })
            }
            Effect::Output { name, body } => (4, layout::Payload { named: named(name, body) }),
            Effect::Timer { topic, body, after_ticks, request } => {
                let (after_ticks, request) = (*after_ticks, *request);
                let timer = layout::Timer { topic: text(topic), body: Bytes::of(body), after_ticks, request };
                (5, layout::Payload { timer })
            }
            Effect::Log { level, text: line } => {
                (6, layout::Payload { log: layout::Log { level: *level as u8, text: text(line) } })
            }
            Effect::Metric { name, value } => {
                (7, layout::Payload { metric: layout::Metric { name: text(name), value: *value } })
            }
            Effect::Spawn { id, kind, config } => {
                let spawn = layout::Spawn { id: text(id), kind: text(kind), config: Bytes::of(config) };
                (8, layout::Payload { spawn })
            }
            Effect::Stop { id, reason } => {
                let id = layout::OptionBytes {
                    some: id.is_some().into(),
                    value: text(id.as_deref().unwrap_or("")),
                };
                (9, layout::Payload { stop: layout::Stop { id, reason: text(reason) } })
            }
        };
        layout::Effect { case, payload }
    }
}
