//! Kernels with a barrier, a wait or a fence taken out: the emulator must tell each from the right one.

use rooflint_emulator::exec::Trap;

use crate::checks;

type Check = fn(&str) -> Result<(), Trap>;

/// The kernels that synchronise, and how many mutants each has.
const KERNELS: &[(&str, &str, Check, usize)] = &[
    ("rmsnorm", include_str!("../kernels/rmsnorm.ptx"), checks::rmsnorm, 1),
    ("decode_attn", include_str!("../kernels/decode_attn.ptx"), checks::attention, 1),
    ("gemm_mma", include_str!("../kernels/gemm_mma.ptx"), checks::gemm, 4),
    ("wgmma_gemm", include_str!("../kernels/wgmma_gemm.ptx"), checks::warpgroup, 6),
    ("wgmma_gemm_plain", include_str!("../kernels/wgmma_gemm_plain.ptx"), checks::warpgroup, 6),
];

/// What makes others' or one's own writes visible.
const SYNCHRONISES: &[&str] = &[
    "bar.sync",
    "barrier.sync",
    "cp.async.wait_group",
    "cp.async.wait_all",
    "fence.proxy.async",
    "wgmma.fence",
    "wgmma.wait_group",
    "wgmma.commit_group",
];

/// The text without one line, for each line that synchronises.
fn mutants(text: &str) -> Vec<(usize, &str, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let synchronises = |line: &str| SYNCHRONISES.iter().any(|word| line.trim_start().starts_with(word));
    let picks = (0..lines.len()).filter(|index| synchronises(lines[*index]));
    picks
        .map(|index| {
            let mut rest = lines.clone();
            rest[index] = "";
            (index + 1, lines[index].trim(), rest.join("\n"))
        })
        .collect()
}

#[test]
fn every_missing_synchronisation_is_noticed() {
    for (name, text, check, least) in KERNELS {
        check(text).unwrap_or_else(|trap| panic!("{name} as it is: {}", trap.why));
        let mutants = mutants(text);
        assert!(mutants.len() >= *least, "{name}: only {} lines that synchronise", mutants.len());
        for (line, what, mutant) in mutants {
            match check(&mutant) {
                Ok(()) => panic!("{name} without line {line}, '{what}', passes"),
                Err(trap) => println!("{name} without line {line}, '{what}': {} {}", trap.code, trap.why),
            }
        }
    }
}

#[test]
fn a_wait_for_too_few_copies_is_noticed() {
    let text = include_str!("../kernels/gemm_mma.ptx");
    let mutant = text.replace("cp.async.wait_group 1;", "cp.async.wait_group 2;");
    assert_ne!(text, mutant);
    let trap = checks::gemm(&mutant).expect_err("copies that were not waited for were seen");
    println!("{}", trap.why);
}

#[test]
fn a_step_left_out_of_a_reduction_is_noticed() {
    let text = include_str!("../kernels/rmsnorm.ptx");
    let line = text.lines().find(|line| line.contains("shfl.sync.bfly")).expect("a shuffle");
    // The value stays where it was.
    let register =
        line.split_whitespace().nth(1).expect("a register").trim_end_matches(',').split('|').next().expect("one");
    let mutant = text.replacen(line, &format!("mov.b32 {register}, 0;"), 1);
    assert!(checks::rmsnorm(&mutant).is_err());
}
