use super::*;
use proptest::prelude::*;

fn refusal(text: &str) -> String {
    read(text.as_bytes(), "f.cnf", false).unwrap_err().to_string()
}

#[test]
fn all_formats_by_hand() {
    let cnf =
        read(b"c hi\np cnf 4 3\n1 -2\n 3 0 -4 0\nc in between\n0\n%\n0\n", "f", false).unwrap();
    assert_eq!((cnf.variables, cnf.clauses(), cnf.weights.len()), (4, 3, 0));
    assert_eq!([0, 1, 2].map(|c| cnf.clause(c)), [&[1, -2, 3][..], &[-4], &[]]);
    let old = read(b"p wcnf 2 3 10\r\n10 1 0\r\n3 -1 2 0\n12 2 0", "f", false).unwrap();
    assert_eq!((old.weights.as_slice(), old.clause(1)), (&[0, 3, 0][..], &[-1, 2][..]));
    let new = read(b"h 1 7 0\n5 -1 0\n", "f", false).unwrap();
    assert_eq!((new.variables, new.weights.as_slice()), (7, &[0, 5][..]));
    let bare = read(b"5 -1 0\n", "f", true).unwrap();
    assert_eq!((bare.variables, bare.weights.as_slice(), bare.clauses()), (1, &[5][..], 1));
}

#[test]
fn refusals_name_the_line() {
    for (text, start) in [
        ("", "f.cnf line 1 must be a header"),
        ("c only\n", "f.cnf line 2 must be a header"),
        ("1 2 0\n", "f.cnf line 1 must be a header `p cnf VARIABLES CLAUSES`, got `1`"),
        ("p sat 3 1\n", "f.cnf line 1 must be `p cnf` or `p wcnf`, got `sat`"),
        ("p cnf x 1\n", "f.cnf line 1 must be a header with the number of variables, got `x`"),
        ("p cnf 3\n1 0\n", "f.cnf line 1 must be a header with the number of clauses, got nothing"),
        ("p cnf 3 1 1\n1 0\n", "f.cnf line 1 must be a header and no more, got `1`"),
        ("p cnf 9999999999 1\n", "f.cnf line 1 must be at most 2**30 variables"),
        ("p cnf 3 1\n1 4 0\n", "f.cnf line 2 must be literals of variables 1 to 3, got `4`"),
        ("p cnf 3 1\n\n1 -0 0\n", "f.cnf line 3 must be literals"),
        ("p cnf 3 1\n1 2x 0\n", "f.cnf line 2 must be integers, got `2x`"),
        ("p cnf 3 2\n1 0\n", "f.cnf line 3 must be one of 2 clauses, as the header says"),
        ("p cnf 3 1\n1 0\n2 0\n", "f.cnf line 3 must be the end after 1 clauses, got `2`"),
        ("p cnf 3 1\n1 2\n", "f.cnf line 3 must be a literal or 0, got the end of the text"),
        ("p wcnf 3 1\n0 2 0\n", "f.cnf line 2 must be a clause with a weight above 0, got `0`"),
        ("p wcnf 3 1\n2.5 2 0\n", "f.cnf line 2 must be a clause with a weight above 0, got `2.5`"),
        ("p wcnf 3 1 0\n2 2 0\n", "f.cnf line 1 must be a top weight above 0"),
        ("p cnf 3 1\n1 \u{fffd}\u{1} 0\n", "f.cnf line 2 must be integers, got `"),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(start), "{text:?}: {message}");
    }
}

#[test]
fn formulas_that_do_not_fit_together() {
    let good =
        Formula { variables: 2, literals: vec![1, -2], offsets: vec![0, 2], weights: vec![] };
    assert!(good.check().is_ok());
    let bad = |change: fn(&mut Formula)| {
        let mut formula = good.clone();
        change(&mut formula);
        formula.check().unwrap_err().to_string()
    };
    assert!(bad(|f| f.literals[0] = 3).starts_with("clauses must be literals -2 to 2 without 0"));
    assert!(bad(|f| f.literals[0] = i32::MIN).contains("got -2147483648"));
    assert!(bad(|f| f.offsets[1] = 1).starts_with("offsets must be ascending"));
    assert!(bad(|f| f.weights = vec![1, 2]).starts_with("weights of shape (2,)"));
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        clauses in prop::collection::vec((prop::collection::vec(-9i32..9, 0..5), 0u64..5), 0..9),
        plain: bool,
    ) {
        let mut formula = Formula::new(9);
        for (clause, weight) in clauses {
            formula.push(clause.into_iter().map(|l| if l < 0 { l } else { l + 1 }), if plain { 1 } else { weight });
        }
        prop_assert_eq!(read(&write(&formula), "f", false).unwrap(), formula);
    }

    #[test]
    fn no_bytes_panic(text in prop::collection::vec(any::<u8>(), 0..60), weighted: bool) {
        let header = [b"p cnf 5 2\n".as_slice(), &text].concat();
        let _ = (read(&text, "f", weighted), read(&header, "f", weighted));
    }
}
