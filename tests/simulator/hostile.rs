//! A server that lies, and what the edge's own reading makes of it: no socket, one request each.

use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::{ApiRequest, ApiResponse, Fault, Faults, Flavour, World, WorldConfig};
use burki_edge::upstream::{
    Answer, DateForm, ErrorKind, IdentityEndpoint, ListQuery, Reply, Request, wire,
};
use burki_edge::upstream::{Page, UpstreamError};
use rstest::rstest;

const BOTH: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];

fn world(flavour: Flavour) -> World {
    World::new(WorldConfig {
        flavour,
        calls: 40,
        same_instant: 0,
        ..WorldConfig::default()
    })
}

fn list(skip: usize, limit: usize) -> Request {
    Request::List(ListQuery {
        skip,
        limit,
        ..ListQuery::default()
    })
}

/// What leaves the server under a fault.
fn served(world: &mut World, fault: &Fault, request: &Request) -> ApiResponse {
    let target = wire::path_and_query(request, DateForm::NAIVE);
    let request = ApiRequest::new("GET", &target).with_key(world.api_key());
    fault.spoil(world.answer(&request))
}

/// What the edge reads under a fault.
fn read(world: &mut World, fault: &Fault, request: &Request) -> Result<Answer, ErrorKind> {
    let answer = served(world, fault, request);
    let now = Timestamp::from_micros(0);
    wire::reply(
        request,
        DateForm::NAIVE,
        answer.status,
        None,
        &answer.body,
        now,
    )
    .map(|Reply { answer, .. }| answer)
    .map_err(|UpstreamError { kind, .. }| kind)
}

fn page(answer: Result<Answer, ErrorKind>) -> Page {
    match answer {
        Ok(Answer::Page(page)) => page,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case(Fault::DuplicateKeys)]
#[case(Fault::WrongTypes)]
#[case(Fault::WithoutId)]
#[case(Fault::HugeNumber)]
fn a_spoiled_record_spoils_every_answer_it_is_in(#[case] fault: Fault) {
    for flavour in BOTH {
        let mut world = world(flavour);
        let id = world.newest(1)[0];
        let sid = world.get(id).unwrap().call_sid.to_string();
        for request in [
            list(0, 10),
            Request::Call(CallKey::Id(id)),
            Request::Call(CallKey::Sid(sid)),
        ] {
            assert!(read(&mut world, &Fault::ServerError, &request).is_ok());
            let read = read(&mut world, &fault, &request);
            assert_eq!(read.unwrap_err(), ErrorKind::BadAnswer, "{request:?}");
        }
    }
}

#[test]
fn a_record_is_spoiled_at_its_id_and_nowhere_else() {
    let mut world = world(Flavour::SelfHosted);
    // The first behind those without a start, whose order is drawn anew each time.
    let id = world.newest(4)[3];
    world.set_metadata(id, Some(r#"{"a":0,"id":1,"n":1.10}"#));
    let own = format!(",\"id\":{id},");
    for (fault, spoiled) in [
        (
            Fault::DuplicateKeys,
            format!(",\"id\":{id},\"id\":{},", id + 1),
        ),
        (Fault::WrongTypes, ",\"id\":\"7\",".to_owned()),
        (Fault::WithoutId, ",".to_owned()),
        (
            Fault::HugeNumber,
            ",\"id\":99999999999999999999,".to_owned(),
        ),
    ] {
        for request in [Request::Call(CallKey::Id(id)), list(3, 3)] {
            let right = served(&mut world, &Fault::Reset, &request);
            let answer = served(&mut world, &fault, &request);
            assert_eq!(answer.text(), right.text().replacen(&own, &spoiled, 1));
        }
    }
}

#[test]
fn what_holds_no_record_is_not_spoiled() {
    for flavour in BOTH {
        let mut world = world(flavour);
        for request in [
            list(40, 10),
            Request::Call(CallKey::Id(1)),
            Request::Count {
                from: None,
                to: None,
            },
            Request::Identity(IdentityEndpoint::User),
        ] {
            let right = served(&mut world, &Fault::Reset, &request);
            for fault in [
                Fault::ShortList(0),
                Fault::OtherOrder,
                Fault::SharedSid,
                Fault::DuplicateKeys,
                Fault::WrongTypes,
                Fault::WithoutId,
                Fault::HugeNumber,
            ] {
                assert_eq!(served(&mut world, &fault, &request), right, "{fault:?}");
            }
        }
    }
}

#[test]
fn a_short_list_agrees_with_itself_wherever_it_is_read() {
    for flavour in BOTH {
        let mut world = world(flavour);
        let hosted = flavour == Flavour::Hosted;
        for (skip, limit, most, rows, total) in [
            (0, 1000, 3, 3, 3),
            (0, 1000, 0, 0, 0),
            (0, 10, 30, 10, 30),
            (0, 1000, 90, 40, 40),
            (20, 10, 3, 3, 23),
        ] {
            let page = page(read(
                &mut world,
                &Fault::ShortList(most),
                &list(skip, limit),
            ));
            assert_eq!(page.calls.len(), rows);
            assert_eq!(page.total, hosted.then_some(total));
            let whole = world.newest(40);
            let ids = page.calls.iter().map(|call| call.id);
            assert!(skip > 0 || ids.skip(3).eq(whole.into_iter().take(rows).skip(3)));
        }
        let answer = served(&mut world, &Fault::ShortList(3), &list(0, 10));
        assert_eq!(answer.records.len(), 3);
        let one = Request::Call(CallKey::Id(answer.records[2]));
        assert!(matches!(
            read(&mut world, &Fault::ShortList(0), &one),
            Ok(Answer::Call(_))
        ));
    }
}

#[test]
fn a_list_in_the_other_order_is_refused() {
    for flavour in BOTH {
        let mut world = world(flavour);
        let right = served(&mut world, &Fault::Reset, &list(3, 10));
        let other = served(&mut world, &Fault::OtherOrder, &list(3, 10));
        assert!(right.records.iter().rev().eq(&other.records));
        assert_eq!(right.body.len(), other.body.len());
        let read = read(&mut world, &Fault::OtherOrder, &list(3, 10));
        assert_eq!(read.unwrap_err(), ErrorKind::BadAnswer);
    }
}

#[test]
fn a_list_may_tell_a_row_twice_and_otherwise() {
    for flavour in BOTH {
        let mut world = world(flavour);
        let newest = world.newest(1)[0];
        let told = served(&mut world, &Fault::OtherDouble, &list(0, 10));
        assert_eq!(told.text().matches(&format!("\"id\":{newest},")).count(), 2);
        assert_eq!(told.text().matches("\"status\":\"doubled\"").count(), 1);
        let plain = world.text(newest).unwrap();
        assert_eq!(told.text().matches(&plain).count(), 1);
        let call = Request::Call(CallKey::Id(newest));
        let one = served(&mut world, &Fault::OtherDouble, &call);
        assert_eq!(Some(one.text()), world.text(newest).as_deref());
    }
}

#[test]
fn two_calls_of_one_sid_are_two_calls() {
    for flavour in BOTH {
        let mut world = world(flavour);
        let page = page(read(&mut world, &Fault::SharedSid, &list(3, 10)));
        assert_eq!(page.calls[0].call_sid, page.calls[1].call_sid);
        assert_ne!(page.calls[0].id, page.calls[1].id);
        assert_ne!(page.calls[0].call_sid, page.calls[2].call_sid);
        let right = world.text(page.calls[2].id).unwrap();
        assert_eq!(*page.calls[2].body, *right);
        // A page of one has no second record.
        assert_eq!(
            served(&mut world, &Fault::SharedSid, &list(3, 1)),
            served(&mut world, &Fault::Reset, &list(3, 1))
        );
    }
}

#[test]
fn an_unreadable_record_is_a_500_also_where_it_would_be_left_out() {
    let mut world = world(Flavour::Hosted);
    let mut faults = Faults::default();
    faults.make_unreadable(world.newest(5)[4]);
    faults.always_where("limit=10", Fault::ShortList(1));
    let request = ApiRequest::new("GET", "/api/v1/calls?limit=10").with_key(world.api_key());
    let fault = faults.decide(&request).unwrap();
    assert!(fault.is_answered());
    assert_eq!(fault.answer(Flavour::Hosted, &request), None);
    let answer = fault.spoil(faults.review(world.answer(&request)));
    assert_eq!(answer.status, 500);
}
