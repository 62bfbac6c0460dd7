//! The instructions that are covered, each with the section of the PTX ISA (release 9.0) that specifies it, and one
//! file for each family of them. What is not in this table is an error when a module is loaded.

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
mod matrix;
pub mod mbarrier;
mod memory;
pub mod special;
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
    op("add", "9.7.1.1, 9.7.3.3, 9.7.4.1", integer::add),
    op("sub", "9.7.1.2, 9.7.3.4, 9.7.4.2", integer::sub),
    op("mul", "9.7.1.3, 9.7.3.5, 9.7.4.3", integer::mul),
    op("mad", "9.7.1.4, 9.7.3.7", integer::mad),
    op("mul24", "9.7.1.5", integer::mul24),
    op("mad24", "9.7.1.6", integer::mad24),
    op("sad", "9.7.1.7", integer::sad),
    op("div", "9.7.1.8, 9.7.3.8", integer::div),
    op("rem", "9.7.1.9", integer::rem),
    op("abs", "9.7.1.10, 9.7.3.9, 9.7.4.6", integer::abs),
    op("neg", "9.7.1.11, 9.7.3.10, 9.7.4.5", integer::neg),
    op("min", "9.7.1.12, 9.7.3.11, 9.7.4.7", integer::min),
    op("max", "9.7.1.13, 9.7.3.12, 9.7.4.8", integer::max),
    op("popc", "9.7.1.14", logic::popc),
    op("clz", "9.7.1.15", logic::clz),
    op("bfind", "9.7.1.16", logic::bfind),
    op("brev", "9.7.1.18", logic::brev),
    op("bfe", "9.7.1.19", logic::bfe),
    op("bfi", "9.7.1.20", logic::bfi),
    op("dp4a", "9.7.1.23", integer::dp4a),
    op("dp2a", "9.7.1.24", integer::dp2a),
    op("add.cc", "9.7.2.1", integer::add_carry_out),
    op("addc", "9.7.2.2", integer::add_carry_in),
    op("fma", "9.7.3.6, 9.7.4.4", float::fma),
    op("rcp", "9.7.3.13", float::rcp),
    op("sqrt", "9.7.3.15", float::sqrt),
    op("rsqrt", "9.7.3.16", float::rsqrt),
    op("sin", "9.7.3.18", float::sin),
    op("cos", "9.7.3.19", float::cos),
    op("lg2", "9.7.3.20", float::lg2),
    op("ex2", "9.7.3.21, 9.7.4.10", float::ex2),
    op("tanh", "9.7.3.22, 9.7.4.9", float::tanh),
    op("copysign", "9.7.3.2", float::copysign),
    op("testp", "9.7.3.1", float::testp),
    op("set", "9.7.6.1, 9.7.7.1", compare::set),
    op("setp", "9.7.6.2, 9.7.7.2", compare::setp),
    op("selp", "9.7.6.3", compare::selp),
    op("slct", "9.7.6.4", compare::slct),
    op("and", "9.7.8.1", logic::and),
    op("or", "9.7.8.2", logic::or),
    op("xor", "9.7.8.3", logic::xor),
    op("not", "9.7.8.4", logic::not),
    op("cnot", "9.7.8.5", logic::cnot),
    op("lop3", "9.7.8.6", logic::lop3),
    op("shf", "9.7.8.7", logic::shf),
    op("shl", "9.7.8.8", logic::shl),
    op("shr", "9.7.8.9", logic::shr),
    op("mov", "9.7.9.3, 9.7.9.4", convert::mov),
    op("shfl.sync", "9.7.9.6", warp::shfl),
    op("prmt", "9.7.9.7", logic::prmt),
    op("ld", "9.7.9.8", memory::ld),
    op("ld.global.nc", "9.7.9.9", memory::ld_nc),
    op("ldu", "9.7.9.10", memory::ldu),
    op("st", "9.7.9.11", memory::st),
    op("prefetch", "9.7.9.15", memory::prefetch),
    op("prefetchu", "9.7.9.15", memory::prefetch),
    op("isspacep", "9.7.9.18", memory::isspacep),
    op("cvta", "9.7.9.19", convert::cvta),
    op("cvt", "9.7.9.20", convert::cvt),
    op("cp.async", "9.7.9.25.3.1", copy::start),
    op("cp.async.commit_group", "9.7.9.25.3.2", copy::commit),
    op("cp.async.wait_group", "9.7.9.25.3.3", copy::wait_group),
    op("cp.async.wait_all", "9.7.9.25.3.3", copy::wait_all),
    op("cp.async.bulk", "9.7.9.25.5.2", bulk::copy),
    op("cp.async.bulk.commit_group", "9.7.9.25.5.6.1", bulk::commit),
    op("cp.async.bulk.wait_group", "9.7.9.25.5.6.2", bulk::wait),
    op("bra", "9.7.12.3", control::bra),
    op("call", "9.7.12.5", control::call),
    op("ret", "9.7.12.6", control::ret),
    op("exit", "9.7.12.7", control::exit),
    op("bar.sync", "9.7.13.1", barrier::sync_aligned),
    op("bar.cta.sync", "9.7.13.1", barrier::sync_aligned),
    op("bar.arrive", "9.7.13.1", barrier::arrive_aligned),
    op("bar.red", "9.7.13.1", barrier::red_aligned),
    op("barrier.sync", "9.7.13.1", barrier::sync),
    op("barrier.cta.sync", "9.7.13.1", barrier::sync),
    op("barrier.arrive", "9.7.13.1", barrier::arrive),
    op("barrier.red", "9.7.13.1", barrier::red),
    op("bar.warp.sync", "9.7.13.2", warp::sync),
    op("membar", "9.7.13.4", barrier::fence),
    op("fence", "9.7.13.4", barrier::fence),
    op("atom", "9.7.13.5", atomic::atom),
    op("red", "9.7.13.6", atomic::red),
    op("vote.sync", "9.7.13.9", warp::vote),
    op("match.any.sync", "9.7.13.10", warp::match_any),
    op("match.all.sync", "9.7.13.10", warp::match_all),
    op("activemask", "9.7.13.11", warp::activemask),
    op("redux.sync", "9.7.13.12", warp::redux),
    op("elect.sync", "9.7.13.15", warp::elect),
    op("mbarrier.init", "9.7.13.15.9", mbarrier::init),
    op("mbarrier.inval", "9.7.13.15.10", mbarrier::inval),
    op("mbarrier.expect_tx", "9.7.13.15.11", mbarrier::expect_tx),
    op("mbarrier.arrive", "9.7.13.15.13", mbarrier::arrive),
    op("mbarrier.arrive_drop", "9.7.13.15.14", mbarrier::arrive_drop),
    op("cp.async.mbarrier.arrive", "9.7.13.15.15", mbarrier::copies_arrive),
    op("mbarrier.test_wait", "9.7.13.15.16", mbarrier::test_wait),
    op("mbarrier.try_wait", "9.7.13.15.16", mbarrier::test_wait),
    op("mma.sync", "9.7.14.5.14", matrix::mma),
    op("ldmatrix.sync", "9.7.14.5.15", matrix::ldmatrix),
    op("stmatrix.sync", "9.7.14.5.16", matrix::stmatrix),
    op("wgmma.mma_async.sync", "9.7.15.5.2", wgmma::mma_async),
    op("wgmma.fence.sync", "9.7.15.7.1", wgmma::fence),
    op("wgmma.commit_group.sync", "9.7.15.7.2", wgmma::commit),
    op("wgmma.wait_group.sync", "9.7.15.7.3", wgmma::wait),
    op("nanosleep", "9.7.19.4", control::nanosleep),
    op("brkpt", "9.7.19.1", control::trap),
    op("trap", "9.7.19.3", control::trap),
];

/// The entry for an opcode's parts, and how many of them are its name: the longest that fits.
pub fn lookup(parts: &[String]) -> Option<(&'static Opcode, usize)> {
    (1..=parts.len().min(4)).rev().find_map(|used| {
        let name = parts[..used].join(".");
        OPCODES.iter().find(|opcode| opcode.name == name).map(|opcode| (opcode, used))
    })
}
