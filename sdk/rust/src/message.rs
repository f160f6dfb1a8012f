//! What an agent is given.

use alloc::{string::String, vec::Vec};
use core::{fmt, marker::PhantomData, slice, str};

use crate::layout::{Bytes, OptionU64};

/// A message, as it lies in the inbox: reading it copies nothing, and it lives until the turn ends.
#[repr(C)]
pub struct Message<'a> {
    sender: Bytes,
    topic: Bytes,
    body: Bytes,
    reply_to: OptionU64,
    inbox: PhantomData<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// A message made by hand, for tests.
    pub fn new(sender: &'a str, topic: &'a str, body: &'a [u8], reply_to: Option<u64>) -> Message<'a> {
        Message {
            sender: Bytes::of(sender.as_bytes()),
            topic: Bytes::of(topic.as_bytes()),
            body: Bytes::of(body),
            reply_to: OptionU64 { some: reply_to.is_some().into(), value: reply_to.unwrap_or(0) },
            inbox: PhantomData,
        }
    }

    /// An agent's id, `input:NAME`, or `tickwork` for the runtime itself.
    pub fn sender(&self) -> &'a str {
        // SAFETY: the host passes valid UTF-8 where the ABI says `string`, as `new` does.
        unsafe { str::from_utf8_unchecked(bytes(self.sender)) }
    }

    /// What the message is about.
    pub fn topic(&self) -> &'a str {
        // SAFETY: as in `sender`.
        unsafe { str::from_utf8_unchecked(bytes(self.topic)) }
    }

    /// What it says.
    pub fn body(&self) -> &'a [u8] {
        // SAFETY: the host passes a valid range that lives as long as the inbox, as `new` does.
        unsafe { bytes(self.body) }
    }

    /// What it says, if that is UTF-8.
    pub fn text(&self) -> Result<&'a str, str::Utf8Error> {
        str::from_utf8(self.body())
    }

    /// A correlation number: on a request the number its sender wants back, on an answer that number.
    pub fn reply_to(&self) -> Option<u64> {
        if self.reply_to.some == 0 {
            None
        } else {
            Some(self.reply_to.value)
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Message")
            .field("sender", &self.sender())
            .field("topic", &self.topic())
            .field("body", &String::from_utf8_lossy(self.body()))
            .field("reply_to", &self.reply_to())
            .finish()
    }
}

/// # Safety
/// `range` must be readable, and not written to, for `'a`.
unsafe fn bytes<'a>(range: Bytes) -> &'a [u8] {
    // The pointer of an empty range may be anything, which a slice's may not.
    if range.size == 0 {
        &[]
    } else {
        slice::from_raw_parts(range.at, range.size)
    }
}

/// The turn's virtual clock, entropy and budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Context {
    /// The number of the tick.
    pub tick: u64,
    /// Nanoseconds since the Unix epoch on the run's virtual clock; the same for every agent in a tick.
    pub now_ns: u64,
    /// 64 fresh bits for this agent and tick, a function of the run's seed.
    pub seed: u64,
    /// Instructions that this turn may use.
    pub fuel: u64,
}

/// Who the agent is.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its id.
    pub id: String,
    /// Its configuration from the manifest, or from the effect that spawned it.
    pub config: Vec<u8>,
    /// The host's ABI version, "1.0.0".
    pub abi: String,
}
