//! How a result is cut into one tile per worker.

use crate::device::MatmulDesc;
use crate::device::cpu::pool::Place;

/// A way to cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// Into bands of rows.
    Rows,
    /// Into bands of columns.
    Columns,
    /// Into a grid as square as the number of workers allows.
    Grid,
}

impl Cut {
    /// Every cut with its name.
    const ALL: [(Self, &'static str); 3] = [(Self::Rows, "rows"), (Self::Columns, "columns"), (Self::Grid, "grid")];

    /// The cuts that give every worker of a team something to do, or the one that comes nearest.
    pub fn suitable(desc: &MatmulDesc, team: usize) -> Vec<(Self, &'static str)> {
        let team_u64 = team as u64;
        let (down, across) = near_square(team);
        let fits = |(cut, _): &(Self, &'static str)| match cut {
            Self::Rows => desc.m >= team_u64,
            Self::Columns => desc.n >= team_u64,
            Self::Grid => down > 1 && desc.m >= down as u64 && desc.n >= across as u64,
        };
        let mut cuts: Vec<_> = Self::ALL.into_iter().filter(fits).collect();
        if cuts.is_empty() {
            cuts.push(Self::ALL[if desc.m > desc.n { 0 } else { 1 }]);
        }
        cuts
    }

    /// The tile of a worker as first row, rows, first column, columns.
    pub fn tile(self, [m, n]: [usize; 2], place: Place<'_>) -> [usize; 4] {
        let (index, team) = (place.index, place.team);
        let (down, across) = match self {
            Self::Rows => (team, 1),
            Self::Columns => (1, team),
            Self::Grid => near_square(team),
        };
        let (row, rows) = band(m, index / across, down);
        let (column, columns) = band(n, index % across, across);
        [row, rows, column, columns]
    }
}

/// A team as rows times columns of tiles, rows not more than columns.
fn near_square(team: usize) -> (usize, usize) {
    let down = (1..=team.isqrt()).rfind(|down| team.is_multiple_of(*down)).unwrap_or(1);
    (down, team / down)
}

/// Lengths that borders of bands are multiples of, where bands are that long: a register tile.
pub(super) const TILE: usize = 16;

/// Band `index` of `bands` over `length`: start and length.
pub(super) fn band(length: usize, index: usize, bands: usize) -> (usize, usize) {
    let border = |index: usize| match index == bands {
        true => length,
        false => (length * index / bands).next_multiple_of(if length / bands >= TILE { TILE } else { 1 }).min(length),
    };
    (border(index), border(index + 1) - border(index))
}
