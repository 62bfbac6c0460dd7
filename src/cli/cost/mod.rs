//! `rooflint cost`: what training and serving a model take, from a datasheet's ceilings and a price. One file per
//! question; what they share is in `common`, how an answer is put into words and rows in `words` and `sheet`.

mod common;
mod demand;
mod law;
mod memory;
mod serve;
mod sheet;
mod train;
mod words;

pub use common::model;
pub use sheet::wrapped;

use crate::cli::{Command, run_subcommand, with_subcommands};

pub const COMMAND: Command = Command {
    name: "cost",
    declare: |command| {
        let command = command
            .about("Work out what training or serving a model takes: time, memory, GPUs, money")
            .after_help("Start with 'rooflint cost serve --model llama-3.1-70b --gpu h100_sxm --tensor 4'.")
            .subcommand_required(true)
            .arg_required_else_help(true);
        with_subcommands(command, QUESTIONS)
    },
    run: |matches| run_subcommand(matches, QUESTIONS),
};

/// Every question, in the order help lists them. To add one: its file, and a row here.
static QUESTIONS: &[Command] = &[train::QUESTION, serve::QUESTION, memory::QUESTION, demand::QUESTION];
