import pytest

from carrier_sidecar import go_values

# Expected values were obtained from Go 1.24's time.ParseDuration, strconv.ParseInt(s, 0, 64) and strconv.ParseBool.


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
        ("1h2m3.5s", 3_723_500_000_000),
        ("250ms", 250_000_000),
        ("1us", 1_000),
        ("1\u00b5s", 1_000),
        ("1\u03bcs", 1_000),
        ("7ns", 7),
        ("-1.5h", -5_400_000_000_000),
        ("+5s", 5_000_000_000),
        ("1.s", 1_000_000_000),
        (".5s", 500_000_000),
        ("5s5s", 10_000_000_000),
        ("1s1h", 3_601_000_000_000),
        ("1.9ns", 1),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("0.100000000000000000000h", 360_000_000_000),
        ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ("-9223372036854775808ns", -9_223_372_036_854_775_808),
        ("2562047h", 9_223_369_200_000_000_000),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, nanoseconds: int) -> None:
    assert go_values.parse_duration_ns(text) == nanoseconds
    assert go_values.parse_duration(text) == nanoseconds / 1e9


@pytest.mark.parametrize(
    "text",
    ["", "3", "-", "+", "s", ".", ".s", "1", "12 s", " 1s", "1s ", "1d", "1S", "1.1.1s", "١s", "--1s", "1h-1m", "1e3s",
     "9223372036854775808ns", "2562048h", "-9223372036854775809ns", "9" * 5000 + "s"],
)  # fmt: skip
def test_what_go_refuses_as_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        go_values.parse_duration_ns(text)


def test_a_duration_without_unit_is_told_so() -> None:
    with pytest.raises(ValueError, match="unit is missing"):
        go_values.parse_duration("120")


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_true_as_go_writes_it(text: str) -> None:
    assert go_values.parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_false_as_go_writes_it(text: str) -> None:
    assert go_values.parse_bool(text) is False


@pytest.mark.parametrize("text", ["", "yes", "no", "on", "tRUE", " true", "true ", "2"])
def test_other_words_are_no_booleans(text: str) -> None:
    with pytest.raises(ValueError):
        go_values.parse_bool(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("010", 8),
        ("0o10", 8),
        ("0O10", 8),
        ("0x1F", 31),
        ("0X1f", 31),
        ("-0b101", -5),
        ("1_000", 1000),
        ("0_7", 7),
        ("0x_ff", 255),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_integers_are_read_as_go_reads_them(text: str, value: int) -> None:
    assert go_values.parse_int(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "+", "-", "08", "0x", "0b", "0b2", "1__0", "_1", "1_", "0_", "0x_", "1.0", "1e3", " 1", "1 ", "١", "+-1", "ff",
     "9223372036854775808", "-9223372036854775809", "1" * 5000],
)  # fmt: skip
def test_what_go_refuses_as_an_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        go_values.parse_int(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (60, "1m"), (90, "1m30s"), (3600, "1h"), (3605, "1h5s"), (2.5, "2.5s"), (0.25, "250ms"),
     (-1.5, "-1.5s"), (0.0000015, "1.5us"), (7e-9, "7ns"), (0.0015, "1.5ms"), (61.05, "1m1.05s")],
)  # fmt: skip
def test_durations_are_written_in_the_fewest_words(seconds: float, text: str) -> None:
    assert go_values.format_duration(seconds) == text
