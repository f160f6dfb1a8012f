//! The Canonical ABI layouts of `wit/tickwork-agent.wit` on wasm32.

/// A string or `list<u8>`: pointer and size in bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Bytes {
    pub at: *const u8,
    pub size: usize,
}

impl Bytes {
    pub const fn of(bytes: &[u8]) -> Bytes {
        Bytes { at: bytes.as_ptr(), size: bytes.len() }
    }
}

/// `option<u64>`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct OptionU64 {
    pub some: u8,
    pub value: u64,
}

/// `option<string>`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct OptionBytes {
    pub some: u8,
    pub value: Bytes,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Send {
    pub to: Bytes,
    pub topic: Bytes,
    pub body: Bytes,
    pub reply_to: OptionU64,
}

/// `publish` and `output`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Named {
    pub name: Bytes,
    pub body: Bytes,
}

/// `infer` and `call`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Request {
    pub name: Bytes,
    pub body: Bytes,
    pub request: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Timer {
    pub topic: Bytes,
    pub body: Bytes,
    pub after_ticks: u64,
    pub request: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Log {
    pub level: u8,
    pub text: Bytes,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Metric {
    pub name: Bytes,
    pub value: f64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Spawn {
    pub id: Bytes,
    pub kind: Bytes,
    pub config: Bytes,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Stop {
    pub id: OptionBytes,
    pub reason: Bytes,
}

#[repr(C)]
pub union Payload {
    pub send: Send,
    pub named: Named,
    pub request: Request,
    pub timer: Timer,
    pub log: Log,
    pub metric: Metric,
    pub spawn: Spawn,
    pub stop: Stop,
}

/// `variant effect`: the case's number, then its record at 8.
#[repr(C)]
pub struct Effect {
    pub case: u8,
    pub payload: Payload,
}

/// `result<list<effect>, string>` and `result<_, string>`.
#[repr(C)]
pub struct Answer {
    /// 0 or 1.
    pub failed: u8,
    /// The effects, or the bytes of the error.
    pub first: *const u8,
    /// How many.
    pub count: usize,
}

#[cfg(target_arch = "wasm32")]
const _: () = {
    use core::mem::{align_of, size_of};
    assert!(size_of::<Bytes>() == 8 && size_of::<OptionU64>() == 16 && size_of::<OptionBytes>() == 12);
    assert!(size_of::<crate::Message>() == 40 && align_of::<crate::Message>() == 8);
    assert!(size_of::<Effect>() == 48 && align_of::<Effect>() == 8 && size_of::<Payload>() == 40);
    assert!(size_of::<Answer>() == 12 && align_of::<Answer>() == 4);
};
