//! The process that holds a device: it measures one case after another as it is told, and says how each
//! ended. When the device is lost it ends, and the supervisor starts another.
//!
//! Orders and messages are lines of JSON on standard input and output.

use std::io;

use serde::{Deserialize, Serialize};

use crate::device;
use crate::measure::case::{self, Phase};
use crate::measure::settings::Settings;
use crate::record::{Case, Outcome};
use crate::suite;

/// What the supervisor tells a worker to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Measure a case.
    Measure {
        /// Which.
        case: Case,
        /// How.
        settings: Settings,
    },
    /// Go on: all devices are ready.
    Go,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The device is open and waits for orders.
    Opened,
    /// The device cannot be opened; the worker ends.
    NotOpened {
        /// Why.
        reason: String,
    },
    /// The case in hand has come to a phase.
    Phase(Phase),
    /// The case in hand has ended.
    Ended {
        /// What became of it.
        outcome: Box<Outcome>,
        /// Whether the device is lost: the worker ends.
        lost: bool,
    },
}

/// Opens a device and carries out orders until there are no more, or the device is lost.
pub fn serve(
    selector: &str,
    orders: &mut dyn Iterator<Item = io::Result<Order>>,
    say: &mut dyn FnMut(&Message) -> io::Result<()>,
) -> io::Result<()> {
    let opened = match device::select(selector) {
        Ok((backend, rest)) => (backend.open)(rest).map_err(|error| error.to_string()),
        Err(unknown) => Err(unknown.to_string()),
    };
    let mut device = match opened {
        Ok(device) => device,
        Err(reason) => return say(&Message::NotOpened { reason }),
    };
    say(&Message::Opened)?;
    let mut kept = case::Kept::default();
    while let Some(order) = orders.next() {
        let Order::Measure { case, settings } = order? else { continue };
        let mut unsaid = Ok(());
        let ended = match suite::find(&case.benchmark) {
            Some(benchmark) => case::measure(device.as_mut(), &mut kept, benchmark, &case, &settings, &mut |phase| {
                if unsaid.is_ok() {
                    unsaid = say(&Message::Phase(phase));
                }
                if phase == Phase::Ready {
                    // The next order lets it go; that there is none any more shows after the case.
                    let _ = orders.next();
                }
            }),
            None => {
                let outcome = Outcome::Failed(format!("this program has no benchmark '{}'", case.benchmark));
                case::Ended { outcome, lost: false }
            }
        };
        unsaid?;
        let lost = ended.lost;
        say(&Message::Ended { outcome: Box::new(ended.outcome), lost })?;
        if lost {
            break;
        }
    }
    Ok(())
}
