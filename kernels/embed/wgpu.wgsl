// embed for WebGPU: an invocation takes four numbers of a row. The prefix made for each variant defines GROUP (invocations
// of a work group), how numbers lie in memory (`stored`, four of them), and `embedded`, which adds the position's row
// where there is one. A dispatch copies the rows of the table that its binding holds, and leaves the others to other
// dispatches.
struct Part {
    packs: u32,        // of a row
    rows: u32,         // of this dispatch
    first: u32,        // rows before them
    table_first: u32,  // rows of the table before its binding
    table_rows: u32,   // rows of the table in its binding
    positions_at: u32, // packs in the binding of positions before the row that is added
}

@group(0) @binding(0) var<uniform> part: Part;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<stored>;
@group(0) @binding(4) var<storage, read_write> out: array<stored>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pack = group.x * GROUP + lane;
    let row = tokens[part.first + group.y] - part.table_first;
    if pack < part.packs && row < part.table_rows {
        out[group.y * part.packs + pack] = embedded(table[row * part.packs + pack], part.positions_at + pack);
    }
}
