use amqp10_codec::*;
use bytes::Bytes;

use crate::support::{decode, encode, encode_full, hex, to_hex, value};

fn symbol(text: &'static str) -> Symbol {
    Symbol::from_static(text)
}

fn field_count(octets: Bytes) -> usize {
    let code = octets[3];
    assert!(code == 0xc0 || code == 0xd0, "{}", to_hex(&octets));
    decode_value(octets)
        .unwrap()
        .as_described()
        .unwrap()
        .value
        .as_list()
        .unwrap()
        .len()
}

#[test]
fn t_050_open_by_each_descriptor() {
    let expected = Open {
        container_id: "c".into(),
        ..Open::default()
    };
    for descriptor in [
        "5310",
        "800000000000000010",
        "a30e616d71703a6f70656e3a6c697374",
    ] {
        assert_eq!(
            decode::<Open>(hex(&format!("00{descriptor}c00401a10163"))).unwrap(),
            expected
        );
    }
}

#[test]
fn t_053_trailing_nulls_are_left_out() {
    let open = Open {
        container_id: "c".into(),
        ..Open::default()
    };
    assert_eq!(to_hex(&encode(&open)), "005310c00401a10163");
    let flow = Flow {
        handle: Some(0),
        ..Flow::default()
    };
    assert_eq!(to_hex(&encode(&flow)), "005313c006054043434343");
    assert_eq!(to_hex(&encode(&Source::default())), "00532845");
    assert_eq!(
        to_hex(&encode(&DeliveryState::from(Outcome::Accepted))),
        "00532445"
    );
}

#[test]
fn t_055_open_without_max_frame_size() {
    let open = decode::<Open>(hex("005310c00401a10163")).unwrap();
    assert_eq!(
        (open.max_frame_size, open.channel_max, open.idle_time_out),
        (u32::MAX, u16::MAX, None)
    );
}

#[test]
fn t_057_t_058_multiple() {
    let capabilities = |digits: &str| {
        let items = format!("a10163404040404040{digits}");
        let octets = hex(&format!("005310c0{:02x}08{items}", items.len() / 2 + 1));
        decode::<Open>(octets).unwrap().offered_capabilities
    };
    assert_eq!(capabilities("a30161"), [symbol("a")]);
    assert_eq!(capabilities("e00401a30161"), [symbol("a")]);
    assert_eq!(capabilities("e00602a301610162"), [symbol("a"), symbol("b")]);
    assert_eq!(
        capabilities("f00000000a00000001b30000000161"),
        [symbol("a")]
    );
    for empty in ["40", "e00200a3", "e00100", "f0000000050000000040"] {
        assert!(capabilities(empty).is_empty());
    }
    let one = Open {
        offered_capabilities: vec![symbol("a")],
        ..Open::default()
    };
    assert!(to_hex(&encode(&one)).ends_with("e00401a30161"));
}

#[test]
fn t_059_mechanisms_need_one() {
    for digits in ["00534045", "005340c0020140", "005340c0050 1e00200a3"] {
        let error = decode::<SaslFrame>(hex(digits)).unwrap_err();
        assert!(
            matches!(error.kind, DecodeErrorKind::MissingField { .. }),
            "{error}"
        );
    }
    let wrong = decode::<SaslFrame>(hex("005340c0020145")).unwrap_err();
    assert!(matches!(wrong.kind, DecodeErrorKind::WrongFieldType { .. }));
    let bare = decode::<SaslFrame>(hex("005340c00401a30158")).unwrap();
    assert_eq!(
        bare,
        SaslFrame::Mechanisms(SaslMechanisms {
            sasl_server_mechanisms: vec![symbol("X")]
        })
    );
}

#[test]
fn t_064_unknown_delivery_states_are_refused() {
    let transfer = decode::<Transfer>(hex("005314c00c0843404040404040 00537045")).unwrap_err();
    assert!(matches!(
        transfer.kind,
        DecodeErrorKind::InvalidField {
            composite: "transfer",
            field: "state",
            ..
        }
    ));
    // An outcome, but not one that stands in for a received state.
    let outcome = decode::<TransactionalState>(hex("005334c00802a00161 00532345")).unwrap_err();
    assert!(outcome.is_invalid_field());
}

#[test]
fn t_065_delivery_tags() {
    assert!(DeliveryTag::try_from(&[0; 32][..]).is_ok());
    assert!(DeliveryTag::try_from(&[0; 33][..]).is_err());
    let octets = hex(&format!("005314c0260343 40a021{}", "00".repeat(33)));
    let error = decode::<Transfer>(octets).unwrap_err();
    assert!(matches!(
        error.kind,
        DecodeErrorKind::InvalidField {
            field: "delivery-tag",
            ..
        }
    ));
    assert_eq!(error.condition(), condition::INVALID_FIELD);
    assert_eq!(
        DeliveryTag::from(7u32.to_be_bytes()).as_bytes(),
        [0, 0, 0, 7]
    );
}

#[test]
fn t_068_keys_of_fields() {
    // open.properties with a string key
    let error =
        decode::<Open>(hex("005310c013 0a a10163 4040404040404040 c10502a1016b40")).unwrap_err();
    let kind = error.kind.clone();
    assert!(
        matches!(
            kind,
            DecodeErrorKind::WrongFieldType {
                field: "properties",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn t_063_e_005_e_008_undecodable_is_not_invalid() {
    // A property value with an unassigned code, a duplicate key, a symbol that is not ASCII.
    for map in [
        "c10602a3016bff00",
        "c10904a3016b40a3016b40",
        "c10502a301c340",
    ] {
        let items = format!("a101634040404040404040{map}");
        let octets = hex(&format!("005310c0{:02x}0a{items}", items.len() / 2 + 1));
        let error = decode::<Open>(octets).unwrap_err();
        assert_eq!(error.condition(), condition::DECODE_ERROR, "{error}");
    }
}

#[test]
fn full_layout_writes_every_field_and_never_list0() {
    let open = Open::default();
    assert_eq!(field_count(encode_full(&open)), 10);
    let items = decode_value(encode_full(&open)).unwrap();
    let items = items
        .as_described()
        .unwrap()
        .value
        .as_list()
        .unwrap()
        .to_vec();
    assert_eq!(items[2], Value::Uint(u32::MAX));
    assert_eq!(items[3], Value::Ushort(u16::MAX));
    assert_eq!(field_count(encode_full(&Begin::default())), 8);
    let attach = Attach {
        source: Some(Source::default()),
        target: Some(Target::default().into()),
        ..Attach::new("l", 0, Role::Sender)
    };
    assert_eq!(field_count(encode_full(&attach)), 14);
    let octets = encode_full(&attach);
    let fields = decode_value(octets.clone()).unwrap();
    let fields = fields
        .as_described()
        .unwrap()
        .value
        .as_list()
        .unwrap()
        .to_vec();
    assert_eq!(
        fields[5]
            .as_described()
            .unwrap()
            .value
            .as_list()
            .unwrap()
            .len(),
        11
    );
    assert_eq!(
        fields[6]
            .as_described()
            .unwrap()
            .value
            .as_list()
            .unwrap()
            .len(),
        7
    );
    assert_eq!(decode::<Attach>(octets).unwrap(), attach);
    assert_eq!(field_count(encode_full(&Flow::default())), 11);
    assert_eq!(field_count(encode_full(&Transfer::default())), 11);
    let disposition = Disposition {
        role: Role::Receiver,
        first: 0,
        last: None,
        settled: true,
        state: Some(Outcome::Accepted.into()),
        batchable: false,
    };
    let octets = encode_full(&disposition);
    assert!(
        to_hex(&octets).contains("00532445"),
        "delivery states are short"
    );
    assert_eq!(field_count(octets), 6);
    assert_eq!(field_count(encode_full(&Detach::default())), 3);
    assert_eq!(to_hex(&encode_full(&End::default())), "005317c0020140");
    assert_eq!(to_hex(&encode_full(&Close::default())), "005318c0020140");
    assert_eq!(
        field_count(encode_full(&AmqpError::from_condition(
            condition::NOT_FOUND
        ))),
        3
    );
    assert_eq!(to_hex(&encode_full(&Header::default())), "00537045");
}

#[test]
fn performatives_with_wide_lists() {
    let description = "x".repeat(300);
    let detach = Detach {
        handle: 300,
        closed: true,
        error: Some(AmqpError {
            info: Fields::new().with_static("key", vec![1u8; 300]),
            ..AmqpError::new(condition::NOT_FOUND, description)
        }),
    };
    for octets in [encode(&detach), encode_full(&detach)] {
        assert_eq!(octets[3], 0xd0);
        assert_eq!(decode::<Detach>(octets).unwrap(), detach);
    }
}

#[test]
fn o_001_delivery_states_there_and_back() {
    let error = AmqpError::new(condition::PRECONDITION_FAILED, "no");
    let annotations = Fields::new().with_static("x-opt-a", 1u8);
    let modified = Modified {
        delivery_failed: true,
        undeliverable_here: true,
        message_annotations: annotations,
    };
    let txn_id = Bytes::from_static(b"txn");
    let transactional = TransactionalState {
        txn_id: txn_id.clone(),
        outcome: Some(Outcome::Accepted),
    };
    let states: Vec<DeliveryState> = vec![
        Received {
            section_number: 1,
            section_offset: 1 << 40,
        }
        .into(),
        Outcome::Accepted.into(),
        Outcome::from(Rejected::new(error)).into(),
        Outcome::from(Rejected::default()).into(),
        Outcome::Released.into(),
        Outcome::from(modified).into(),
        Outcome::from(Modified::default()).into(),
        Outcome::from(Declared { txn_id }).into(),
        transactional.into(),
    ];
    for state in states {
        assert_eq!(decode::<DeliveryState>(encode(&state)).unwrap(), state);
        assert_eq!(
            state.is_terminal(),
            matches!(state, DeliveryState::Outcome(_))
        );
    }
}

#[test]
fn l_036_unsettled_maps() {
    let tag = |octets: &[u8]| DeliveryTag::try_from(octets).unwrap();
    let unsettled = UnsettledMap(vec![
        (tag(b"a"), None),
        (tag(b""), Some(Outcome::Accepted.into())),
        (tag(&[7; 32]), Some(Received::default().into())),
    ]);
    let attach = Attach {
        unsettled: Some(unsettled),
        ..Attach::new("l", 1, Role::Receiver)
    };
    assert_eq!(decode::<Attach>(encode(&attach)).unwrap(), attach);
    let twice = decode::<UnsettledMap>(hex("c10904a0016140a0016140")).unwrap_err();
    assert_eq!(twice.kind, DecodeErrorKind::DuplicateKey);
}

#[test]
fn a_018_filters() {
    let filter = FilterSet::new()
        .with(
            symbol("apache.org:selector-filter:string"),
            Value::described(0x468c_0000_0004u64, "a = 1"),
        )
        .with(symbol("none"), Value::Null);
    let source = Source {
        filter,
        ..Source::new("address")
    };
    assert_eq!(decode::<Source>(encode(&source)).unwrap(), source);
    assert!(to_hex(&encode(&source)).contains("0080 0000468c00000004".replace(' ', "").as_str()));
}

#[test]
fn a_006_lifetime_policies() {
    for (code, policy) in [
        (0x2b, LifetimePolicy::DeleteOnClose),
        (0x2c, LifetimePolicy::DeleteOnNoLinks),
        (0x2d, LifetimePolicy::DeleteOnNoMessages),
        (0x2e, LifetimePolicy::DeleteOnNoLinksOrMessages),
    ] {
        let octets = encode(&Value::from(policy));
        assert_eq!(to_hex(&octets), format!("0053{code:02x}45"));
        assert_eq!(
            LifetimePolicy::from_value(&decode_value(octets).unwrap()),
            Some(policy)
        );
    }
    assert_eq!(LifetimePolicy::from_value(&value("00532a45")), None);
    assert_eq!(LifetimePolicy::from_value(&"delete".into()), None);
}

#[test]
fn a_026_targets() {
    let coordinator = Coordinator {
        capabilities: vec![transaction::capability::LOCAL_TRANSACTIONS],
    };
    for target in [
        TargetArchetype::from(coordinator),
        Target::new("address").into(),
    ] {
        assert_eq!(decode::<TargetArchetype>(encode(&target)).unwrap(), target);
    }
    assert!(decode::<TargetArchetype>(hex("00532845")).is_err());
}

#[test]
fn e_001_e_019_conditions_of_errors_are_kept() {
    let error = AmqpError::new(symbol("com.microsoft:timeout"), "busy");
    assert_eq!(decode::<AmqpError>(encode(&error)).unwrap(), error); // E-019
    assert_eq!(error.to_string(), "com.microsoft:timeout: busy");
}

#[test]
fn t_052_l_011_the_drawing_of_a_described_list() {
    let disposition = Disposition {
        role: Role::Receiver,
        first: 0,
        last: None,
        settled: true,
        state: Some(Outcome::Accepted.into()),
        batchable: false,
    };
    let drawn = "00 53 15 c0 09 05 41 43 40 41 00 53 24 45";
    assert_eq!(to_hex(&encode(&disposition)), drawn.replace(' ', ""));
    for text in [
        include_str!("../../src/lib.rs"),
        include_str!("../../README.md"),
    ] {
        let octets = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.lines()
                .any(|line| octets(line).contains("00 53 15 c0 09 05 41 43 40 41 00 53 24 45"))
        );
    }
}
