//! Barriers in shared memory, which threads and asynchronous copies arrive at. PTX ISA 9.7.13 `mbarrier`.

use crate::code;
use crate::decode::{Address, Decoded, Decoder, Modifiers};
use crate::exec::shared::Copy;
use crate::exec::{Ctx, Flow, Register, Run, Source, Trap, lanes};
use crate::ptx::{Operand, Statement, Type};

/// A barrier object. Its 64 bits in memory are opaque, so they are kept beside it.
#[derive(Default)]
pub struct Mbarrier {
    /// Arrivals a phase needs, and those still missing.
    expected: u32,
    pending: i64,
    /// Bytes of copies still missing.
    bytes: i64,
    /// How many phases are complete.
    phase: u64,
    /// What arrives once it has been copied: made when somebody looks for the second time, not before, so that who
    /// looks once and goes on is noticed.
    deferred: Vec<Deferred>,
    looked: bool,
}

/// Copies under way that arrive at a barrier.
pub enum Deferred {
    /// Bytes from global to shared memory, counted as bytes.
    Bulk { to: u64, from: u64, size: usize },
    /// A thread's `cp.async` copies, one arrival.
    Thread(Vec<Copy>),
}

/// The greatest number of arrivals. PTX ISA 9.7.13 "Contents of the mbarrier object".
const MOST: u32 = (1 << 20) - 1;

impl Mbarrier {
    fn settle(&mut self) {
        if self.pending == 0 && self.bytes == 0 {
            self.phase += 1;
            self.pending = self.expected.into();
        }
    }

    fn arrive(&mut self, count: u32) -> Result<(), Trap> {
        self.pending -= i64::from(count);
        if self.pending < 0 {
            return Err(Trap::new(code::LAUNCH_FAILED, "more arrivals at a barrier than it expects"));
        }
        self.settle();
        Ok(())
    }
}

impl Ctx<'_> {
    fn mbarrier(&mut self, address: u64) -> Result<&mut Mbarrier, Trap> {
        self.shared_at(address, 8, 8)?;
        let missing = || Trap::new(code::LAUNCH_FAILED, format!("no barrier was initialised at shared {address:#x}"));
        self.block.mbarriers.get_mut(&address).ok_or_else(missing)
    }

    /// Adds a copy to a barrier; one that counts bytes has announced them, or will.
    pub fn defer(&mut self, address: u64, copy: Deferred) -> Result<(), Trap> {
        let warp = self.warp.index;
        self.mbarrier(address)?.deferred.push(copy);
        self.block.race.release(warp, address);
        Ok(())
    }

    /// Looks at a barrier: the phases that are complete.
    fn look(&mut self, address: u64) -> Result<u64, Trap> {
        let barrier = self.mbarrier(address)?;
        if !barrier.deferred.is_empty() {
            barrier.looked = !barrier.looked;
            if barrier.looked {
                return Ok(barrier.phase);
            }
        }
        for copy in std::mem::take(&mut barrier.deferred) {
            match copy {
                Deferred::Bulk { to, from, size } => {
                    self.bulk_in(to, from, size)?;
                    let barrier = self.mbarrier(address)?;
                    barrier.bytes -= size as i64;
                    barrier.settle();
                }
                Deferred::Thread(copies) => {
                    for copy in copies {
                        self.copy_in(copy)?;
                    }
                    self.mbarrier(address)?.arrive(1)?;
                }
            }
        }
        Ok(self.mbarrier(address)?.phase)
    }
}

/// Takes what opcodes say of order, scope and space; all of it is as strong as can be here.
fn words(m: &mut Modifiers<'_>) {
    m.one_of(&["release", "acquire", "relaxed"]);
    m.one_of(&["cta", "cluster"]);
    m.one_of(&["shared", "shared::cta"]);
    m.flag("b64");
}

/// The lanes' addresses of a barrier.
struct At(Address);

impl At {
    fn decode(d: &mut Decoder<'_>, operand: Option<&Operand>) -> Decoded<Self> {
        Ok(Self(d.address(operand.ok_or("an operand is missing")?)?))
    }

    fn of(&self, ctx: &Ctx<'_>, lane: usize) -> u64 {
        let address = ctx.get(self.0.base)[lane].wrapping_add(self.0.offset);
        // A generic address of shared memory will do too.
        super::memory::resolve(super::memory::Where::Generic, address).1
    }
}

pub fn init(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    words(m);
    let at = At::decode(d, s.operands.first())?;
    let count = d.source(s.operands.get(1).ok_or("an operand is missing")?, Type::U32)?;
    d.accesses_shared(8);
    Ok(Box::new(move |ctx| {
        for lane in lanes(ctx.exec) {
            let (address, expected) = (at.of(ctx, lane), ctx.get(count)[lane] as u32);
            if expected == 0 || expected > MOST {
                return Err(Trap::new(code::LAUNCH_FAILED, format!("a barrier for {expected} arrivals")));
            }
            ctx.write_shared(address, &[0; 8], 8)?;
            let fresh = Mbarrier { expected, pending: expected.into(), ..Mbarrier::default() };
            ctx.block.mbarriers.insert(address, fresh);
        }
        Ok(Flow::Next)
    }))
}

pub fn inval(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    words(m);
    let at = At::decode(d, s.operands.first())?;
    Ok(Box::new(move |ctx| {
        for lane in lanes(ctx.exec) {
            let address = at.of(ctx, lane);
            ctx.mbarrier(address)?;
            ctx.block.mbarriers.remove(&address);
        }
        Ok(Flow::Next)
    }))
}

/// Arrives, perhaps announcing bytes first. The state given back is the number of complete phases.
fn arrives(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, bytes: bool, drop: bool) -> Decoded<Run> {
    words(m);
    let (to, operands): (Option<Register>, &[Operand]) = match s.operands.as_slice() {
        [first @ Operand::Name(_), rest @ ..] => (Some(d.register(first)?), rest),
        all => (None, all),
    };
    let at = At::decode(d, operands.first())?;
    let amount: Option<Source> = operands.get(1).map(|operand| d.source(operand, Type::U32)).transpose()?;
    if bytes && amount.is_none() {
        return Err("the number of bytes is missing".into());
    }
    Ok(Box::new(move |ctx| {
        let mut states = [0; 32];
        for lane in lanes(ctx.exec) {
            let address = at.of(ctx, lane);
            let amount = amount.map_or(1, |amount| ctx.get(amount)[lane] as u32);
            ctx.mbarrier(address)?;
            let warp = ctx.warp.index;
            ctx.block.race.release(warp, address);
            let barrier = ctx.mbarrier(address)?;
            states[lane] = barrier.phase;
            if bytes {
                barrier.bytes += i64::from(amount);
            }
            if drop {
                barrier.expected -= 1;
            }
            barrier.arrive(if bytes { 1 } else { amount })?;
        }
        if let Some(to) = to {
            ctx.set(to, &states);
        }
        Ok(Flow::Next)
    }))
}

pub fn arrive(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let bytes = m.flag("expect_tx");
    arrives(d, s, m, bytes, false)
}

pub fn arrive_drop(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let bytes = m.flag("expect_tx");
    arrives(d, s, m, bytes, true)
}

pub fn expect_tx(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    words(m);
    let at = At::decode(d, s.operands.first())?;
    let bytes = d.source(s.operands.get(1).ok_or("an operand is missing")?, Type::U32)?;
    Ok(Box::new(move |ctx| {
        for lane in lanes(ctx.exec) {
            let (address, bytes) = (at.of(ctx, lane), ctx.get(bytes)[lane] as u32);
            ctx.mbarrier(address)?.bytes += i64::from(bytes);
        }
        Ok(Flow::Next)
    }))
}

/// Whether a phase is complete: the one a state names, or the last of a parity.
pub fn test_wait(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let parity = m.flag("parity");
    words(m);
    let to = d.predicate(&s.operands[0])?;
    let at = At::decode(d, s.operands.get(1))?;
    let which = d.source(s.operands.get(2).ok_or("an operand is missing")?, Type::B64)?;
    Ok(Box::new(move |ctx| {
        let (mut complete, mut seen) = (0, None);
        for lane in lanes(ctx.exec) {
            let (address, which) = (at.of(ctx, lane), ctx.get(which)[lane]);
            // Lanes that look at one barrier see the same.
            let phase = match seen {
                Some((known, phase)) if known == address => phase,
                _ => ctx.look(address)?,
            };
            seen = Some((address, phase));
            let holds = if parity { phase & 1 != which & 1 } else { phase > which };
            if holds {
                let warp = ctx.warp.index;
                ctx.block.race.acquire(warp, address);
            }
            complete |= u32::from(holds) << lane;
        }
        ctx.set_predicate(to, complete);
        // Others have their turn after some looks in vain, not after the first: who goes on without looking again is
        // not to find the copy made by them.
        if complete != ctx.exec {
            ctx.warp.looks += 1;
        }
        Ok(if complete != ctx.exec && ctx.warp.looks.is_multiple_of(8) { Flow::Yield } else { Flow::Next })
    }))
}

/// A thread's copies so far arrive at a barrier once they are complete.
pub fn copies_arrive(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let counted = m.flag("noinc");
    words(m);
    let at = At::decode(d, s.operands.first())?;
    Ok(Box::new(move |ctx| {
        for lane in lanes(ctx.exec) {
            let address = at.of(ctx, lane);
            let copies = ctx.warp.copies.wait_all(lane);
            if !counted {
                ctx.mbarrier(address)?.pending += 1;
            }
            ctx.defer(address, Deferred::Thread(copies))?;
        }
        Ok(Flow::Next)
    }))
}
