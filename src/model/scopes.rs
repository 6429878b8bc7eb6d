//! What the edge's own access tokens permit.

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// A permission of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Permits reading calls, their details, pending writes and the edge's status.
    Read,
    /// Permits changing the metadata of calls, which the upstream merges under the edge's own key.
    Write,
    /// Permits starting a sync at once and releasing held deletions.
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
    /// Lets its holder do nothing.
    pub const NONE: Scopes = Scopes(0);

    /// The scopes of a token that names none.
    pub const DEFAULT: Scopes = Scopes(1 << Scope::Read as u8);

    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// True if the set permits nothing.
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
        assert_eq!(Scopes::DEFAULT, Scopes::from_iter([Scope::Read]));
        assert_eq!(Scope::named("Read"), None);
    }
}
