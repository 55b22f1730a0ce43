use amqp10_codec::*;
#[test]
fn sizes() {
    assert_eq!((size_of::<Str>(), size_of::<Option<Str>>(), size_of::<Value>(), size_of::<DecodeError>()), (0,0,0,0));
}
#[test]
fn cond() {
    let c = condition::NOT_FOUND;
    assert!(c == condition::NOT_FOUND);
    let v = Value::List(vec![1u32.into(), "x".into(), Value::Array([1u32, 300].into_iter().collect())]);
    let b = encode_value(&v).unwrap();
    assert_eq!(decode_value(b).unwrap(), v);
}
