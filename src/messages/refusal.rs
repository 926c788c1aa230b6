//! Why an order was not put in force, in words for whoever ordered it. Owns these words; capture finds out, serve says it.

use crate::limits::{COMMANDS_WAITING, ORDERS_ADDRESSES, ORDERS_CONNECTIONS};

/// Why something was not put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A mailbox is full.
    #[error("{COMMANDS_WAITING} commands wait for a worker, more than it takes: try again in a moment")]
    Waiting,
    /// No such class.
    #[error("there is no class {name:?}: there are {known}")]
    Class {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Too many addresses and nets.
    #[error(
        "{ORDERS_ADDRESSES} addresses and nets have orders, as many as there can be: take some back, or give them a shorter time"
    )]
    Addresses,
    /// Too many connections.
    #[error(
        "{ORDERS_CONNECTIONS} connections have orders, as many as there can be: take some back, or give them a shorter time"
    )]
    Connections,
}

impl OrderError {
    /// That there is no such class among these.
    pub fn class(name: &str, classes: &[Option<String>]) -> OrderError {
        let known: Vec<&str> = classes.iter().flatten().map(String::as_str).collect();
        OrderError::Class { name: name.to_owned(), known: known.join(", ") }
    }

    /// In a message; the words of the class are the reader's.
    pub(super) fn code(&self) -> u8 {
        match self {
            OrderError::Waiting => 1,
            OrderError::Class { .. } => 2,
            OrderError::Addresses => 3,
            OrderError::Connections => 4,
        }
    }

    pub(super) fn of_code(code: u8) -> Option<OrderError> {
        match code {
            1 => Some(OrderError::Waiting),
            2 => Some(OrderError::Class { name: String::new(), known: String::new() }),
            3 => Some(OrderError::Addresses),
            4 => Some(OrderError::Connections),
            _ => None,
        }
    }
}
