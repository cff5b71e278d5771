//! How long the broker waits for the answer to a delivery.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A length of time, as `30m`. At least a minute: RabbitMQ looks no more often than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ConsumerTimeout(pub(crate) Duration);

impl Default for ConsumerTimeout {
    /// What RabbitMQ has unless somebody configures it: 30 minutes.
    fn default() -> Self {
        Self(Duration::from_secs(30 * 60))
    }
}

impl FromStr for ConsumerTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let length = humantime::parse_duration(text)
            .map_err(|error| format!("`{text}` is no length of time ({error}), for example 30m"))?;
        if length < Duration::from_secs(60) {
            return Err(format!(
                "`{text}` is too short: give the server's consumer_timeout, a minute or more"
            ));
        }
        Ok(Self(length))
    }
}

impl TryFrom<String> for ConsumerTimeout {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ConsumerTimeout> for String {
    fn from(timeout: ConsumerTimeout) -> Self {
        humantime::format_duration(timeout.0).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn it_is_written_as_people_say_it() {
        let timeout: ConsumerTimeout = "1h 30m".parse().unwrap();
        assert_eq!(timeout.0, Duration::from_secs(5400));
        assert_eq!(String::from(ConsumerTimeout::default()), "30m");
        assert!("1800000".parse::<ConsumerTimeout>().unwrap_err().contains("30m"));
        assert!("5s".parse::<ConsumerTimeout>().is_err());
    }
}
