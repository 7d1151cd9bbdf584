//! Limits on trying to sign in: so many tries from one address, so many altogether, and so many mails to one person.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// So many tries in a window from one address.
const TRIES: u32 = 60;
/// So many tries in a window altogether.
const ALL_TRIES: u32 = 2_000;
/// The length of a window, in seconds.
const WINDOW: i64 = 60;

/// So many mails in a window to one person, asked for from one network.
const MAILS: u32 = 5;
/// So many mails in a window to one person, whoever asks.
const ALL_MAILS: u32 = 20;
/// The length of a window for mails, in seconds.
const MAIL_WINDOW: i64 = 15 * 60;

/// Counts tries.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    counted: Mutex<Counted>,
    mails: Mutex<Mails>,
}

#[derive(Debug, Default)]
struct Mails {
    window: i64,
    /// By mail address, and the network of whoever asked.
    asked: HashMap<(String, IpAddr), u32>,
    to: HashMap<String, u32>,
}

#[derive(Debug, Default)]
struct Counted {
    window: i64,
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl Limiter {
    /// Counts a try; `Err` is how many seconds to wait.
    pub(crate) fn try_once(&self, address: IpAddr, now: i64) -> Result<(), i64> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.div_euclid(WINDOW);
        if counted.window != window {
            *counted = Counted { window, ..Counted::default() };
        }
        let wait = (window + 1) * WINDOW - now;
        let theirs = counted.by_address.entry(network(address)).or_default();
        if *theirs == TRIES {
            return Err(wait);
        }
        *theirs += 1;
        // Only now: nobody uses up what is there for all.
        counted.all += 1;
        if counted.all > ALL_TRIES { Err(wait) } else { Ok(()) }
    }

    /// Counts a mail that somebody asks for, whether or not it will be sent; `Err` is how many seconds to wait.
    pub(crate) fn write_once(&self, address: IpAddr, mail: &str, now: i64) -> Result<(), i64> {
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.div_euclid(MAIL_WINDOW);
        if mails.window != window {
            *mails = Mails { window, ..Mails::default() };
        }
        let wait = (window + 1) * MAIL_WINDOW - now;
        let theirs = mails.asked.entry((mail.to_owned(), network(address))).or_default();
        if *theirs == MAILS {
            return Err(wait);
        }
        *theirs += 1;
        let all = mails.to.entry(mail.to_owned()).or_default();
        if *all == ALL_MAILS {
            return Err(wait);
        }
        *all += 1;
        Ok(())
    }
}

/// Whoever has an address of version 6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_tries() {
        let limiter = Limiter::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..TRIES {
            assert_eq!(limiter.try_once(one, 125), Ok(()));
        }
        assert_eq!(limiter.try_once(one, 125), Err(55));
        assert_eq!(limiter.try_once("192.0.2.2".parse().unwrap(), 125), Ok(()));
        assert_eq!(limiter.try_once(one, 180), Ok(()), "the next minute");
    }

    #[test]
    fn one_address_does_not_use_up_the_tries_of_all() {
        let limiter = Limiter::default();
        for _ in 0..2 * ALL_TRIES {
            let _ = limiter.try_once("192.0.2.1".parse().unwrap(), 0);
        }
        assert_eq!(limiter.try_once("192.0.2.2".parse().unwrap(), 0), Ok(()));
    }

    #[test]
    fn a_network_of_version_6_is_one() {
        let limiter = Limiter::default();
        for host in 0..TRIES {
            assert_eq!(limiter.try_once(format!("2001:db8::{host:x}").parse().unwrap(), 0), Ok(()));
        }
        assert!(limiter.try_once("2001:db8::ffff".parse().unwrap(), 0).is_err());
        assert_eq!(limiter.try_once("2001:db8:0:1::1".parse().unwrap(), 0), Ok(()));
    }

    #[test]
    fn nobody_is_flooded_with_mails() {
        let limiter = Limiter::default();
        let ask = |host: u8, mail: &str, now| limiter.write_once(IpAddr::from([192, 0, 2, host]), mail, now);
        for _ in 0..MAILS {
            assert_eq!(ask(1, "ada@acme.example", 10), Ok(()));
        }
        assert_eq!(ask(1, "ada@acme.example", 10), Err(890));
        assert_eq!(ask(1, "ben@acme.example", 10), Ok(()), "somebody else");
        let others = (2..250).filter(|host| ask(*host, "ada@acme.example", 10).is_ok()).count();
        assert_eq!(others, (ALL_MAILS - MAILS) as usize);
        assert_eq!(ask(1, "ada@acme.example", 900), Ok(()), "a quarter of an hour later");
    }
}
