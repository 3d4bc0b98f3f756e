//! PLAIN (RFC 4616): user and password in clear.

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};

use super::accounts::Accounts;
use super::exchange::{AuthenticatedUser, ClientExchange, Refusal, ServerStep, Step};
use super::login::UserPassword;
use crate::secret::{CredentialId, Secret};

/// The client's half of PLAIN.
#[derive(Debug)]
pub struct PlainClient {
    /// User and password, checked for bytes that PLAIN cannot carry.
    login: UserPassword,
}

impl PlainClient {
    /// Creates the half for one authentication.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the user is empty, or if one of the two has a NUL or is no UTF-8.
    pub fn new(login: UserPassword) -> Result<Self> {
        let password = login.password.text()?;
        if login.user.is_empty() || login.user.contains('\0') || password.contains('\0') {
            let text = "PLAIN needs a user name, and no NUL byte in user name or password";
            return Err(Error::new(ErrorKind::Config, text).setting("sasl.username"));
        }
        Ok(Self { login })
    }
}

impl ClientExchange for PlainClient {
    fn start(&mut self) -> Secret {
        let (user, password) = (self.login.user.as_bytes(), self.login.password.expose());
        let mut message = Vec::with_capacity(user.len() + password.len() + 2);
        message.push(0);
        message.extend_from_slice(user);
        message.push(0);
        message.extend_from_slice(password);
        Secret::new(message)
    }

    fn step(&mut self, answer: &[u8]) -> Result<Step> {
        // Kafka answers with no bytes. Some services send a few, which mean nothing.
        let _ = answer;
        Ok(Step::Done)
    }

    fn credential(&self) -> CredentialId {
        self.login.id()
    }
}

/// The server's half of PLAIN.
pub struct PlainServer {
    /// The users.
    accounts: Arc<dyn Accounts>,
}

impl PlainServer {
    /// Creates the half for one authentication.
    #[must_use]
    pub fn new(accounts: Arc<dyn Accounts>) -> Self {
        Self { accounts }
    }

    /// Checks the only message.
    pub fn step(&mut self, message: &[u8]) -> ServerStep {
        let mut parts = message.split(|byte| *byte == 0);
        let (Some(acting), Some(user), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return ServerStep::Refused(Refusal::new(
                "Authentication failed: expected an authorization id, a user and a password",
            ));
        };
        if !acting.is_empty() && acting != user {
            return ServerStep::Refused(Refusal::new(
                "Authentication failed: Client requested an authorization id that is different from username",
            ));
        }
        let given = Secret::new(password.to_vec());
        match std::str::from_utf8(user) {
            Ok(user)
                if self
                    .accounts
                    .password(user)
                    .is_some_and(|known| known == given) =>
            {
                ServerStep::Accepted {
                    answer: Vec::new(),
                    user: AuthenticatedUser::new(user),
                }
            }
            _ => ServerStep::Refused(Refusal::new(
                "Authentication failed: Invalid username or password",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tim;

    impl Accounts for Tim {
        fn password(&self, user: &str) -> Option<Secret> {
            (user == "tim").then(|| "tanstaaftanstaaf".into())
        }
    }

    fn answer(message: &[u8]) -> ServerStep {
        PlainServer::new(Arc::new(Tim)).step(message)
    }

    #[test]
    fn the_message_is_that_of_the_rfc() {
        // RFC 4616, section 4.
        let login = UserPassword {
            user: "tim".into(),
            password: "tanstaaftanstaaf".into(),
        };
        let mut client = PlainClient::new(login).unwrap();
        assert_eq!(client.start().expose(), b"\0tim\0tanstaaftanstaaf");
        let step = answer(client.start().expose());
        assert!(matches!(step, ServerStep::Accepted { user, .. } if user.principal == "tim"));
    }

    #[test]
    fn a_wrong_message_is_refused() {
        for message in [
            &b""[..],
            b"tim",
            b"\0tim",
            b"\0tim\0wrong",
            b"\0tim\0tanstaaftanstaaf\0",
            b"\0tom\0tanstaaftanstaaf",
            b"root\0tim\0tanstaaftanstaaf",
            b"\0\xff\0tanstaaftanstaaf",
        ] {
            assert!(
                matches!(answer(message), ServerStep::Refused(_)),
                "{message:?}"
            );
        }
        let acting = answer(b"tim\0tim\0tanstaaftanstaaf");
        assert!(matches!(acting, ServerStep::Accepted { .. }));
    }

    #[test]
    fn a_nul_and_an_empty_user_are_refused_before_the_wire() {
        for (user, password) in [("", "x"), ("a\0b", "x"), ("a", "x\0y")] {
            let login = UserPassword {
                user: user.into(),
                password: password.into(),
            };
            assert!(PlainClient::new(login).is_err());
        }
    }
}
