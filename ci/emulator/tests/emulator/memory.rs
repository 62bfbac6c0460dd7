//! Memory, atomics, barriers and what they are held to.

use rooflint_emulator::exec::Trap;

use crate::bench::{Buffer, run, words};

fn fails(threads: u32, body: &str) -> Trap {
    words(threads, body).err().unwrap_or_else(|| panic!("{body}: passes"))
}

/// `%rd0` is the address of the thread's word in shared memory.
const MINE: &str = "mov.u64 %rd1, buffer; mul.wide.u32 %rd0, %r1, 4; add.s64 %rd0, %rd0, %rd1;";

#[test]
fn vectors_and_narrow_values() {
    let body = format!(
        "{MINE} mul.wide.u32 %rd0, %r1, 16; add.s64 %rd0, %rd0, %rd1; add.u32 %r2, %r1, 1; mov.u32 %r3, 0xFFFFFF85;\n\
         st.shared.v4.u32 [%rd0], {{%r1, %r2, %r3, %r1}}; ld.shared.v2.u32 {{%r4, %r5}}, [%rd0+8];\n\
         ld.shared.s8 %r6, [%rd0+8]; ld.shared.u16 %r7, [%rd0+8]; ld.shared.u8 %r8, [%rd0+4];\n\
         st.shared.u16 [%rd0+2], %r2; ld.shared.u32 %r9, [%rd0];\n\
         add.u32 %r0, %r5, %r6; add.u32 %r0, %r0, %r7; add.u32 %r0, %r0, %r8; add.u32 %r0, %r0, %r9;"
    );
    let expected = |t: u32| {
        t.wrapping_add(-123i32 as u32).wrapping_add(0xFF85).wrapping_add(t + 1).wrapping_add(t | (t + 1) << 16)
    };
    assert_eq!(words(64, &body).expect("a result"), (0..64).map(expected).collect::<Vec<u32>>());
}

#[test]
fn generic_addresses_reach_every_space() {
    let body = format!(
        ".local .align 8 .b8 frame[16]; {MINE} cvta.shared.u64 %rd2, %rd0; st.u32 [%rd2], %r1;\n\
         mov.u64 %rd3, frame; cvta.local.u64 %rd4, %rd3; add.u32 %r2, %r1, 7; st.u32 [%rd4+8], %r2;\n\
         ld.shared.u32 %r3, [%rd0]; ld.local.u32 %r4, [frame+8]; add.u32 %r0, %r3, %r4;\n\
         cvta.to.shared.u64 %rd5, %rd2; setp.ne.u64 %p0, %rd5, %rd0; @%p0 trap; isspacep.shared %p1, %rd2; @!%p1 trap;"
    );
    assert_eq!(words(32, &body).expect("a result"), (0..32).map(|t| 2 * t + 7).collect::<Vec<u32>>());
}

#[test]
fn atomics_on_shared_and_global_memory() {
    let setup = "setp.eq.u32 %p0, %r1, 0; @%p0 st.shared.u32 [buffer], 0; bar.sync 0;";
    let after = "bar.sync 0; ld.shared.u32 %r0, [buffer];";
    let all =
        |body: &str| words(96, &format!("{setup} {body} {after}")).unwrap_or_else(|trap| panic!("{}", trap.why))[95];
    assert_eq!(all("red.shared.add.u32 [buffer], %r1;"), 95 * 96 / 2);
    assert_eq!(all("atom.shared.max.s32 %r2, [buffer], %r1;"), 95);
    assert_eq!(all("atom.shared.inc.u32 %r2, [buffer], 9;"), 96 % 10);
    assert_eq!(all("atom.shared.or.b32 %r2, [buffer], %r1;"), 127);
    assert_eq!(all("cvt.rn.f32.u32 %f0, %r1; red.shared.add.f32 [buffer], %f0;"), 4560f32.to_bits());
    assert_eq!(
        all(
            "add.u32 %r3, %r1, 1; AGAIN: atom.shared.cas.b32 %r2, [buffer], %r1, %r3; setp.ne.u32 %p1, %r2, %r1; @%p1 bra AGAIN;"
        ),
        96
    );
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out) {\n\
        .reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .f64 %fd;\n\
        ld.param.u64 %rd0, [out]; red.global.add.u64 [%rd0], 3; mov.f64 %fd, 0d3FE0000000000000;\n\
        atom.add.f64 %fd, [%rd0+8], %fd; atom.global.exch.b32 %r0, [%rd0+16], 4; red.relaxed.gpu.global.min.s32 [%rd0+20], -7;\n\
        mov.u32 %r1, 0x3C003C00; red.global.add.noftz.f16x2 [%rd0+24], %r1; ret; }";
    let out = Buffer::of(&[0u64; 4]);
    run(text, [10, 64], &[&out]).unwrap_or_else(|trap| panic!("{}", trap.why));
    let words = out.read::<u32>();
    assert_eq!(out.read::<u64>()[0], 3 * 640);
    assert_eq!(out.read::<f64>()[1], 320.0);
    assert_eq!((words[4], words[5], words[6]), (4, -7i32 as u32, 0x6100_6100));
}

#[test]
fn barriers_count_and_reduce() {
    let body = "setp.lt.u32 %p0, %r1, 10; bar.red.popc.u32 %r0, 0, %p0;";
    assert_eq!(words(96, body).expect("a result"), [10; 96]);
    let body = "setp.lt.u32 %p0, %r1, 96; barrier.cta.red.and.pred %p1, 0, %p0; selp.u32 %r0, 1, 0, %p1;";
    assert_eq!(words(96, body).expect("a result"), [1; 96]);
    // Two warps of three meet at a barrier of their own; the third only hands over.
    let body = format!(
        "{MINE} setp.ge.u32 %p0, %r1, 64; @%p0 bra GIVER; bar.sync 1, 96; mov.u32 %r2, buffer; ld.shared.u32 %r0, [buffer+256]; bra DONE;\n\
         GIVER: st.shared.u32 [%rd0], %r1; bar.arrive 1, 96; DONE:"
    );
    let results = words(96, &body).unwrap_or_else(|trap| panic!("{}", trap.why));
    assert_eq!(results[..64], [64; 64]);
}

#[test]
fn races_in_shared_memory_are_found() {
    let neighbour = "xor.b32 %r2, %r1, 32; mul.wide.u32 %rd2, %r2, 4; add.s64 %rd2, %rd2, %rd1;";
    let right = format!("{MINE} {neighbour} st.shared.u32 [%rd0], %r1; bar.sync 0; ld.shared.u32 %r0, [%rd2];");
    assert_eq!(words(64, &right).expect("a result"), (0..64).map(|t| t ^ 32).collect::<Vec<u32>>());
    let read_after_write = fails(64, &right.replace("bar.sync 0;", ""));
    assert!(read_after_write.code == 719 && read_after_write.why.contains("race"), "{}", read_after_write.why);
    let write_after_read = format!(
        "{MINE} {neighbour} st.shared.u32 [%rd0], %r1; bar.sync 0; ld.shared.u32 %r0, [%rd2]; st.shared.u32 [%rd0], %r0;"
    );
    assert!(fails(64, &write_after_read).why.contains("race"));
    assert!(fails(64, "st.shared.u32 [buffer], %r1;").why.contains("race"));
    // Within a warp, and of neighbouring bytes, there is none.
    assert!(words(32, "st.shared.u32 [buffer], 1; ld.shared.u32 %r0, [buffer];").is_ok());
    let bytes = "mov.u64 %rd1, buffer; cvt.u64.u32 %rd0, %r1; shr.u32 %r3, %r1, 5; and.b32 %r4, %r1, 31;\n\
                 mad.lo.u32 %r3, %r4, 2, %r3; cvt.u64.u32 %rd0, %r3; add.s64 %rd0, %rd0, %rd1; st.shared.u8 [%rd0], %r1;";
    assert!(words(64, bytes).is_ok());
}

#[test]
fn addresses_are_checked() {
    let code = |body: &str| fails(32, body).code;
    assert_eq!(code("ld.shared.u32 %r0, [buffer+4096];"), 700);
    assert_eq!(code("ld.shared.u32 %r0, [buffer+2];"), 716);
    assert_eq!(code("mov.u64 %rd0, 0; ld.shared.u32 %r0, [%rd0];"), 700);
    assert_eq!(code("mov.u64 %rd0, 0; ld.global.u32 %r0, [%rd0];"), 700);
    assert_eq!(code("ld.param.u64 %rd0, [out]; ld.global.v4.u32 {%r0, %r2, %r3, %r4}, [%rd0+4];"), 716);
    assert_eq!(code("ld.param.u64 %rd0, [out]; ld.global.u32 %r0, [%rd0+128];"), 700);
    assert_eq!(code("ld.param.u64 %rd0, [out]; st.global.u64 [%rd0+124], %rd0;"), 716);
    assert_eq!(code("trap;"), 719);
}

#[test]
fn divergent_collectives_are_found() {
    for body in [
        "setp.lt.u32 %p0, %r1, 5; @%p0 shfl.sync.idx.b32 %r0, %r1, 0, 31, -1;",
        "setp.lt.u32 %p0, %r1, 5; @%p0 bar.sync 0;",
        "setp.lt.u32 %p0, %r1, 5; @%p0 bra A; bar.warp.sync -1; A:",
        "setp.lt.u32 %p0, %r1, 5; @%p0 bra A; bar.sync 0; bra B; A: bar.sync 0; B:",
        "shfl.sync.idx.b32 %r0, %r1, 0, 31, 0x0000FFFF;",
    ] {
        let trap = fails(32, body);
        assert!(trap.code == 719 && trap.why.contains("divergent"), "{body}: {} {}", trap.code, trap.why);
    }
    // Lanes that have exited are not waited for; whole warps that never come are.
    assert!(words(32, "setp.lt.u32 %p0, %r1, 5; @%p0 exit; bar.warp.sync -1;").is_ok());
    assert!(fails(64, "setp.lt.u32 %p0, %r1, 32; @%p0 bar.sync 1; @!%p0 bar.sync 2;").why.contains("wait at barriers"));
}

#[test]
fn copies_appear_when_they_are_waited_for() {
    let text = |wait: &str| {
        format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out, .param .u64 in) {{\n\
             .reg .b32 %r<9>; .reg .b64 %rd<9>; .shared .align 16 .b8 buffer[1024];\n\
             mov.u32 %r1, %tid.x; mul.wide.u32 %rd1, %r1, 16; ld.param.u64 %rd2, [in]; add.s64 %rd2, %rd2, %rd1;\n\
             mov.u64 %rd3, buffer; add.s64 %rd3, %rd3, %rd1; mov.u32 %r5, 8;\n\
             cp.async.cg.shared.global [%rd3], [%rd2], 16, %r5; cp.async.commit_group;\n\
             {wait}\n\
             ld.shared.v4.u32 {{%r2, %r3, %r4, %r6}}, [%rd3]; ld.param.u64 %rd4, [out]; add.s64 %rd4, %rd4, %rd1;\n\
             st.global.v4.u32 [%rd4], {{%r2, %r3, %r4, %r6}}; ret; }}"
        )
    };
    let input: Vec<u32> = (0..128).collect();
    let results = |wait: &str| {
        let (out, from) = (Buffer::new(512), Buffer::of(&input));
        run(&text(wait), [1, 32], &[&out, &from]).unwrap_or_else(|trap| panic!("{}", trap.why));
        out.read::<u32>()
    };
    // Half of each copy is filled with zeros.
    let copied: Vec<u32> = input.iter().map(|value| if value % 4 < 2 { *value } else { 0 }).collect();
    assert_eq!(results("cp.async.wait_group 0;"), copied);
    assert_eq!(results("cp.async.wait_all;"), copied);
    assert_eq!(results("cp.async.wait_group 1;"), vec![u32::MAX; 128]);
    assert_eq!(results(""), vec![u32::MAX; 128]);
}

/// One warp loads through a barrier with bulk copies, all threads read, and the result goes back in bulk.
fn bulk(edit: impl Fn(&str) -> String) -> Result<Vec<u32>, Trap> {
    let text = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out, .param .u64 in) {\n\
        .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .pred %p<4>; .shared .align 16 .b8 buffer[512]; .shared .align 8 .b64 bar;\n\
        mov.u32 %r1, %tid.x; setp.ne.u32 %p0, %r1, 0; ld.param.u64 %rd0, [in]; ld.param.u64 %rd1, [out];\n\
        mov.u32 %r2, buffer; mov.u32 %r3, bar; @%p0 bra READY;\n\
        mbarrier.init.shared.b64 [%r3], 1;\n\
        fence.proxy.async.shared::cta;\n\
        mbarrier.arrive.expect_tx.shared.b64 %rd2, [%r3], 512;\n\
        cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%rd0], 512, [%r3];\n\
        READY:\n\
        bar.sync 0;\n\
        WAIT: mbarrier.try_wait.parity.shared.b64 %p1, [%r3], 0;\n\
        @!%p1 bra WAIT;\n\
        shl.b32 %r4, %r1, 2; add.u32 %r4, %r4, %r2; ld.shared.u32 %r5, [%r4]; add.u32 %r5, %r5, 1000;\n\
        st.shared.u32 [%r4], %r5;\n\
        fence.proxy.async.shared::cta;\n\
        bar.sync 0;\n\
        @%p0 bra DONE;\n\
        cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%r2], 512;\n\
        cp.async.bulk.commit_group;\n\
        cp.async.bulk.wait_group 0;\n\
        DONE: ret; }";
    let (out, from) = (Buffer::new(512), Buffer::of(&(0..128).collect::<Vec<u32>>()));
    run(&edit(text), [1, 128], &[&out, &from])?;
    Ok(out.read())
}

#[test]
fn bulk_copies_go_through_barriers_and_fences() {
    let expected: Vec<u32> = (1000..1128).collect();
    assert_eq!(bulk(str::to_owned).unwrap_or_else(|trap| panic!("{}", trap.why)), expected);
    let without = |line: &str| {
        bulk(|text| {
            let position = text.rfind(line).expect("the line");
            format!("{}{}", &text[..position], &text[position + line.len()..])
        })
    };
    for line in [
        "bar.sync 0;",
        "fence.proxy.async.shared::cta;",
        "@!%p1 bra WAIT;",
        "cp.async.bulk.wait_group 0;",
        "cp.async.bulk.commit_group;",
        "mbarrier.init.shared.b64 [%r3], 1;",
    ] {
        assert!(!without(line).is_ok_and(|result| result == expected), "without '{line}' it passes");
    }
}

#[test]
fn without_a_fence_others_see_atomics_late() {
    // Each block adds one and says that it is done; the last takes the sum.
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out) {\n\
        .reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .pred %p;\n\
        ld.param.u64 %rd0, [out]; atom.global.add.u32 %r0, [%rd0], 1; membar.gl;\n\
        atom.global.inc.u32 %r1, [%rd0+4], 7; setp.ne.u32 %p, %r1, 7; @%p bra DONE;\n\
        atom.global.exch.b32 %r2, [%rd0], 0; st.global.u32 [%rd0+8], %r2;\nDONE: ret; }";
    let total = |text: &str| {
        let out = Buffer::of(&[0u32; 3]);
        run(text, [8, 1], &[&out]).unwrap_or_else(|trap| panic!("{}", trap.why));
        let words = out.read::<u32>();
        // In the end nothing is missing.
        assert_eq!((words[0] + words[2], words[1]), (8, 0));
        words[2]
    };
    assert_eq!(total(text), 8);
    assert!(total(&text.replace("membar.gl;", "")) < 8);
    assert!(total(&text.replace("membar.gl;", "membar.cta;")) < 8);
    // One whose result is used is waited for; a later read of the same address sees it.
    let used = text.replace("st.global.u32 [%rd0+8], %r2", "st.global.u32 [%rd0+8], %r2; add.u32 %r3, %r0, 1");
    assert_eq!(total(&used.replace("membar.gl;", "")), 8);
}
