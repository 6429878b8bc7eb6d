//! The dictionaries of phone numbers and names, and the trigram indexes of numbers and SIDs: the
//! changes of one transaction.

use std::collections::HashMap;

use rusqlite::Transaction;

use crate::model::fold;
use crate::store::derived::facts::Facts;
use crate::store::derived::traces;

/// The changes of one transaction, summed up before they are written.
#[derive(Default)]
pub struct Deltas {
    phones: HashMap<String, i64>,
    names: HashMap<String, i64>,
    sids: HashMap<i64, Sid>,
}

/// The SID of a call before and after the transaction.
#[derive(Default)]
struct Sid {
    before: Option<String>,
    after: Option<String>,
}

impl Deltas {
    pub fn add(&mut self, call: &Facts<'_>) {
        self.count(call, 1);
        self.sids.entry(call.id).or_default().after = Some(call.sid.to_owned());
    }

    pub fn subtract(&mut self, call: &Facts<'_>) {
        self.count(call, -1);
        let sid = self.sids.entry(call.id).or_default();
        // Not the SID that this transaction added before.
        if sid.after.take().is_none() {
            sid.before = Some(call.sid.to_owned());
        }
    }

    pub fn rename(&mut self, former: Option<&str>, name: &str, calls: i64) {
        let former = former.map(|former| (former, -calls));
        for (name, calls) in former.into_iter().chain([(name, calls)]) {
            *self.names.entry(name.to_owned()).or_default() += calls;
        }
    }

    fn count(&mut self, call: &Facts<'_>, sign: i64) {
        for (words, word) in [(&mut self.phones, call.phone), (&mut self.names, call.name)] {
            let Some(word) = word else { continue };
            match words.get_mut(word) {
                Some(calls) => *calls += sign,
                None => {
                    words.insert(word.to_owned(), sign);
                }
            }
        }
    }

    /// Returns whether it left traces in the trigram indexes.
    pub fn write(self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        write_names(transaction, self.names)?;
        let phones_went = write_phones(transaction, self.phones)?;
        let sids_went = write_sids(transaction, self.sids)?;
        let went = phones_went || sids_went;
        if went {
            traces::leave(transaction)?;
        }
        Ok(went)
    }
}

fn write_names(transaction: &Transaction<'_>, names: HashMap<String, i64>) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO names (name, calls) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET calls = calls + excluded.calls",
    )?;
    let mut clear =
        transaction.prepare_cached("DELETE FROM names WHERE name = ?1 AND calls = 0")?;
    for (name, calls) in names {
        if calls != 0 {
            add.execute((&name, calls))?;
        }
        if calls < 0 {
            clear.execute([&name])?;
        }
    }
    Ok(())
}

fn write_phones(
    transaction: &Transaction<'_>,
    phones: HashMap<String, i64>,
) -> rusqlite::Result<bool> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO phones (phone, calls) VALUES (?1, ?2)
         ON CONFLICT (phone) DO UPDATE SET calls = calls + excluded.calls
         RETURNING phone_id, calls",
    )?;
    let mut phones: Vec<_> = phones
        .into_iter()
        .filter(|(_, delta)| *delta != 0)
        .collect();
    // In the order of the index.
    phones.sort_unstable();
    let (mut new, mut gone) = (Vec::new(), Vec::new());
    for (phone, delta) in phones {
        let (id, calls): (i64, i64) =
            add.query_row((&phone, delta), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if calls == 0 {
            gone.push((id, phone));
        } else if calls == delta {
            // New, because any number that was there has a call.
            new.push((id, phone));
        }
    }
    // By ascending rowid: a smaller one makes FTS5 flush what it has gathered. A new number can't
    // have the id of a deleted one, whose row is in the table until here.
    gone.sort_unstable();
    let some_went = !gone.is_empty();
    for (id, phone) in gone {
        transaction
            .prepare_cached("DELETE FROM phones WHERE phone_id = ?1")?
            .execute([id])?;
        transaction
            .prepare_cached(
                "INSERT INTO phone_trigrams (phone_trigrams, rowid, phone)
                 VALUES ('delete', ?1, ?2)",
            )?
            .execute((id, fold(&phone)))?;
    }
    let mut index =
        transaction.prepare_cached("INSERT INTO phone_trigrams (rowid, phone) VALUES (?1, ?2)")?;
    for (id, phone) in new {
        index.execute((id, fold(&phone)))?;
    }
    Ok(some_went)
}

fn write_sids(transaction: &Transaction<'_>, sids: HashMap<i64, Sid>) -> rusqlite::Result<bool> {
    let mut moved: Vec<_> = sids
        .into_iter()
        .filter(|(_, sid)| sid.before != sid.after)
        .collect();
    // By ascending rowid, like the phone numbers.
    moved.sort_unstable_by_key(|(id, _)| *id);
    let mut add =
        transaction.prepare_cached("INSERT INTO sid_trigrams (rowid, call_sid) VALUES (?1, ?2)")?;
    let mut some_went = false;
    for (id, sid) in moved {
        if let Some(before) = sid.before {
            some_went = true;
            transaction
                .prepare_cached(
                    "INSERT INTO sid_trigrams (sid_trigrams, rowid, call_sid)
                     VALUES ('delete', ?1, ?2)",
                )?
                .execute((id, fold(&before)))?;
        }
        if let Some(after) = sid.after {
            add.execute((id, fold(&after)))?;
        }
    }
    Ok(some_went)
}
