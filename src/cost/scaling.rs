//! Scaling laws, in the forms the documents use: a model's size against the tokens it is trained on.
//!
//! Sources: Hoffmann et al. (arXiv 2203.15556) for 20 tokens per parameter; 12.5 is what chatgpt-20b takes
//! for the rule of Kaplan et al. (arXiv 2001.08361), which that paper does not state.

use super::CostError;
use super::figure::{Figure, corner, positive};
use super::training::FLOP_PER_PARAMETER_TRAINED;

/// Tokens per parameter at which compute is best spent, after Hoffmann et al. (Chinchilla).
pub const CHINCHILLA_TOKENS_PER_PARAMETER: f64 = 20.0;

/// Tokens per parameter that chatgpt-20b ascribes to Kaplan et al.
pub const KAPLAN_AS_CLAIMED_TOKENS_PER_PARAMETER: f64 = 12.5;

/// Tokens a model was trained on per parameter: `D / N`.
///
/// # Errors
/// [`CostError::Zero`] without parameters.
pub fn tokens_per_parameter(tokens: Figure, parameters: Figure) -> Result<Figure, CostError> {
    corner([tokens, positive("parameters", parameters)?], |[tokens, parameters]| tokens / parameters)
}

/// Parameters a rule of `tokens_per_parameter` asks for: `D / rule`.
///
/// # Errors
/// [`CostError::Zero`] for a rule of zero.
pub fn parameters(tokens: Figure, tokens_per_parameter: Figure) -> Result<Figure, CostError> {
    corner([tokens, positive("tokens per parameter", tokens_per_parameter)?], |[tokens, rule]| tokens / rule)
}

/// Tokens a rule of `tokens_per_parameter` asks for: `N x rule`.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn tokens(parameters: Figure, tokens_per_parameter: Figure) -> Result<Figure, CostError> {
    corner([parameters, tokens_per_parameter], |[parameters, rule]| parameters * rule)
}

/// Parameters on which `flop` operations are best spent under a rule: `C = 6 N (rule x N)`.
///
/// # Errors
/// [`CostError::Zero`] for a rule of zero.
pub fn parameters_for_flop(flop: Figure, tokens_per_parameter: Figure) -> Result<Figure, CostError> {
    let inputs = [flop, positive("tokens per parameter", tokens_per_parameter)?];
    corner(inputs, |[flop, rule]| (flop / (FLOP_PER_PARAMETER_TRAINED * rule)).sqrt())
}

/// Tokens to serve until serving has taken as many operations as training: `2 N T = 6 N D`, so `T = 3 D`,
/// whatever the size.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn served_tokens_equal_to_training(trained_tokens: Figure) -> Result<Figure, CostError> {
    trained_tokens.scaled(FLOP_PER_PARAMETER_TRAINED / super::training::FLOP_PER_PARAMETER_SERVED)
}
