//! What a token of the edge's own lets its holder do.

/// Some of the three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Calls, what belongs to them, what waits to be written, and how the edge is.
    Read,
    /// Metadata of calls, which the edge has the upstream merge with its own key.
    Write,
    /// To sync now, and to let held deletions through.
    Operate,
}

impl Scope {
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Operate];

    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Operate => "operate",
        }
    }

    pub fn named(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl Scopes {
    /// What a token has that says nothing of it.
    pub const USUAL: Scopes = Scopes(1 << Scope::Read as u8);

    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether there is nothing that it lets anybody do.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Scopes {
        let bits = scopes.into_iter().map(|scope| 1 << scope as u8);
        Scopes(bits.fold(0, |all, bit| all | bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_of_its_own_and_known_by_its_name() {
        for scope in Scope::ALL {
            let scopes = Scopes::from_iter([scope]);
            let had: Vec<_> = Scope::ALL
                .into_iter()
                .filter(|one| scopes.has(*one))
                .collect();
            assert_eq!(had, [scope]);
            assert_eq!(Scope::named(scope.as_str()), Some(scope));
        }
        assert!(Scopes::default().is_empty());
        assert_eq!(Scopes::USUAL, Scopes::from_iter([Scope::Read]));
        assert_eq!(Scope::named("Read"), None);
    }
}
