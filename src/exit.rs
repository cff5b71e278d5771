//! What the program answers to the shell. `docs/exit-codes.md` lists the same.

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for was done, or was done before.
    Success = 0,
    /// Something went wrong that has no code of its own.
    Failure = 1,
    /// The command line, the configuration or a payload is wrong. Nothing was written.
    Usage = 2,
    /// There is no such job, dead letter, kind or synthesis.
    NotFound = 3,
    /// The state of things does not allow it, or another process is in the way. Nothing was written.
    Refused = 4,
    /// The database cannot be opened, read or written, or its schema does not fit.
    Database = 5,
    /// The job that was waited for ended as failed, dead or cancelled.
    JobEndedBadly = 6,
    /// The time to wait was over first.
    TimedOut = 7,
    /// The broker refuses us, or has a queue that is not as it has to be.
    Broker = 8,
    /// `doctor` or `topology verify` found something that is not as it should be.
    Findings = 9,
}

impl Exit {
    /// All of them, by number.
    #[cfg(test)]
    const ALL: [Self; 10] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::NotFound,
        Self::Refused,
        Self::Database,
        Self::JobEndedBadly,
        Self::TimedOut,
        Self::Broker,
        Self::Findings,
    ];

    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The word that stands in the JSON of an error.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Database => "database",
            Self::JobEndedBadly => "job_ended_badly",
            Self::TimedOut => "timed_out",
            Self::Broker => "broker",
            Self::Findings => "findings",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_documentation() {
        let documentation = include_str!("../docs/exit-codes.md");
        for exit in Exit::ALL {
            let row = format!("| {} | `{}` |", exit.code(), exit.name());
            assert!(documentation.contains(&row), "docs/exit-codes.md lacks the row {row}");
        }
        let rows =
            documentation.lines().filter(|line| line.starts_with("| ") && line.contains("| `")).count();
        assert_eq!(rows, Exit::ALL.len(), "docs/exit-codes.md lists a code that is not there");
    }
}
