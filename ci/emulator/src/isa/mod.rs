//! The instructions that are covered, each with the section of the PTX ISA (release 9.0) under which its own name
//! specifies it, and one file for each family of them. What is not in this table is an error when a module is loaded.

mod atomic;
mod barrier;
mod bulk;
mod compare;
mod control;
mod convert;
mod copy;
mod float;
mod half;
mod integer;
mod logic;
pub mod matrix;
pub mod mbarrier;
mod memory;
pub mod special;
mod vector;
mod warp;
pub mod wgmma;

use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::Run;
use crate::ptx::Statement;

type Decode = fn(&mut Decoder<'_>, &Statement, &mut Modifiers<'_>) -> Decoded<Run>;

/// An instruction that is covered.
pub struct Opcode {
    pub name: &'static str,
    /// Section of the PTX ISA.
    pub section: &'static str,
    pub decode: Decode,
}

const fn op(name: &'static str, section: &'static str, decode: Decode) -> Opcode {
    Opcode { name, section, decode }
}

/// Every instruction that is covered.
pub const OPCODES: &[Opcode] = &[
    op("add", "9.7.1, 9.7.3, 9.7.4", integer::add),
    op("sub", "9.7.1, 9.7.3, 9.7.4", integer::sub),
    op("mul", "9.7.1, 9.7.3, 9.7.4", integer::mul),
    op("mad", "9.7.1, 9.7.3", integer::mad),
    op("mul24", "9.7.1", integer::mul24),
    op("mad24", "9.7.1", integer::mad24),
    op("sad", "9.7.1", integer::sad),
    op("div", "9.7.1, 9.7.3", integer::div),
    op("rem", "9.7.1", integer::rem),
    op("abs", "9.7.1, 9.7.3, 9.7.4", integer::abs),
    op("neg", "9.7.1, 9.7.3, 9.7.4", integer::neg),
    op("min", "9.7.1, 9.7.3, 9.7.4", integer::min),
    op("max", "9.7.1, 9.7.3, 9.7.4", integer::max),
    op("popc", "9.7.1", logic::popc),
    op("clz", "9.7.1", logic::clz),
    op("bfind", "9.7.1", logic::bfind),
    op("brev", "9.7.1", logic::brev),
    op("bfe", "9.7.1", logic::bfe),
    op("bfi", "9.7.1", logic::bfi),
    op("dp4a", "9.7.1", integer::dp4a),
    op("dp2a", "9.7.1", integer::dp2a),
    op("add.cc", "9.7.2", integer::add_carry_out),
    op("addc", "9.7.2", integer::add_carry_in),
    op("fma", "9.7.3, 9.7.4", float::fma),
    op("rcp", "9.7.3", float::rcp),
    op("sqrt", "9.7.3", float::sqrt),
    op("rsqrt", "9.7.3", float::rsqrt),
    op("sin", "9.7.3", float::sin),
    op("cos", "9.7.3", float::cos),
    op("lg2", "9.7.3", float::lg2),
    op("ex2", "9.7.3, 9.7.4", float::ex2),
    op("tanh", "9.7.3, 9.7.4", float::tanh),
    op("copysign", "9.7.3", float::copysign),
    op("testp", "9.7.3", float::testp),
    op("set", "9.7.6, 9.7.7", compare::set),
    op("setp", "9.7.6, 9.7.7", compare::setp),
    op("selp", "9.7.6", compare::selp),
    op("slct", "9.7.6", compare::slct),
    op("and", "9.7.8", logic::and),
    op("or", "9.7.8", logic::or),
    op("xor", "9.7.8", logic::xor),
    op("not", "9.7.8", logic::not),
    op("cnot", "9.7.8", logic::cnot),
    op("lop3", "9.7.8", logic::lop3),
    op("shf", "9.7.8", logic::shf),
    op("shl", "9.7.8", logic::shl),
    op("shr", "9.7.8", logic::shr),
    op("mov", "9.7.9", convert::mov),
    op("shfl.sync", "9.7.9", warp::shfl),
    op("prmt", "9.7.9", logic::prmt),
    op("ld", "9.7.9", memory::ld),
    op("ld.global.nc", "9.7.9", memory::ld_nc),
    op("ldu", "9.7.9", memory::ldu),
    op("st", "9.7.9", memory::st),
    op("prefetch", "9.7.9", memory::prefetch),
    op("prefetchu", "9.7.9", memory::prefetch),
    op("isspacep", "9.7.9", memory::isspacep),
    op("cvta", "9.7.9", convert::cvta),
    op("cvt", "9.7.9", convert::cvt),
    op("cp.async", "9.7.9", copy::start),
    op("cp.async.commit_group", "9.7.9", copy::commit),
    op("cp.async.wait_group", "9.7.9", copy::wait_group),
    op("cp.async.wait_all", "9.7.9", copy::wait_all),
    op("cp.async.bulk", "9.7.9", bulk::copy),
    op("cp.async.bulk.commit_group", "9.7.9", bulk::commit),
    op("cp.async.bulk.wait_group", "9.7.9", bulk::wait),
    op("bra", "9.7.12", control::bra),
    op("call", "9.7.12", control::call),
    op("ret", "9.7.12", control::ret),
    op("exit", "9.7.12", control::exit),
    op("bar.sync", "9.7.13", barrier::sync_aligned),
    op("bar.cta.sync", "9.7.13", barrier::sync_aligned),
    op("bar.cta.arrive", "9.7.13", barrier::arrive_aligned),
    op("bar.cta.red", "9.7.13", barrier::red_aligned),
    op("barrier.cta.arrive", "9.7.13", barrier::arrive),
    op("barrier.cta.red", "9.7.13", barrier::red),
    op("bar.arrive", "9.7.13", barrier::arrive_aligned),
    op("bar.red", "9.7.13", barrier::red_aligned),
    op("barrier.sync", "9.7.13", barrier::sync),
    op("barrier.cta.sync", "9.7.13", barrier::sync),
    op("barrier.arrive", "9.7.13", barrier::arrive),
    op("barrier.red", "9.7.13", barrier::red),
    op("bar.warp.sync", "9.7.13", warp::sync),
    op("membar", "9.7.13", barrier::fence),
    op("fence", "9.7.13", barrier::fence),
    op("atom", "9.7.13", atomic::atom),
    op("red", "9.7.13", atomic::red),
    op("vote.sync", "9.7.13", warp::vote),
    op("match.any.sync", "9.7.13", warp::match_any),
    op("match.all.sync", "9.7.13", warp::match_all),
    op("activemask", "9.7.13", warp::activemask),
    op("redux.sync", "9.7.13", warp::redux),
    op("elect.sync", "9.7.13", warp::elect),
    op("mbarrier.init", "9.7.13", mbarrier::init),
    op("mbarrier.inval", "9.7.13", mbarrier::inval),
    op("mbarrier.expect_tx", "9.7.13", mbarrier::expect_tx),
    op("mbarrier.arrive", "9.7.13", mbarrier::arrive),
    op("mbarrier.arrive_drop", "9.7.13", mbarrier::arrive_drop),
    op("cp.async.mbarrier.arrive", "9.7.13", mbarrier::copies_arrive),
    op("mbarrier.test_wait", "9.7.13", mbarrier::test_wait),
    op("mbarrier.try_wait", "9.7.13", mbarrier::test_wait),
    op("mma.sync", "9.7.14", matrix::mma),
    op("ldmatrix.sync", "9.7.14", matrix::ldmatrix),
    op("stmatrix.sync", "9.7.14", matrix::stmatrix),
    op("wgmma.mma_async.sync", "9.7.15", wgmma::mma_async),
    op("wgmma.fence.sync", "9.7.15", wgmma::fence),
    op("wgmma.commit_group.sync", "9.7.15", wgmma::commit),
    op("wgmma.wait_group.sync", "9.7.15", wgmma::wait),
    op("nanosleep", "9.7.19", control::nanosleep),
    op("brkpt", "9.7.19", control::trap),
    op("trap", "9.7.19", control::trap),
];

/// The entry for an opcode's parts, and how many of them are its name: the longest that fits.
pub fn lookup(parts: &[String]) -> Option<(&'static Opcode, usize)> {
    (1..=parts.len().min(4)).rev().find_map(|used| {
        let name = parts[..used].join(".");
        OPCODES.iter().find(|opcode| opcode.name == name).map(|opcode| (opcode, used))
    })
}
