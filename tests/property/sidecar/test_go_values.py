from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar import go_values

INT64 = st.integers(-(2**63), 2**63 - 1)
UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@given(INT64, st.sampled_from(["", "0x", "0o", "0b", "0"]))
def test_integers_of_every_base_are_read(value: int, prefix: str) -> None:
    code = {"": "d", "0x": "x", "0o": "o", "0b": "b", "0": "o"}[prefix]
    text = ("-" if value < 0 else "") + prefix + format(abs(value), code)
    assert go_values.parse_int(text) == value


@given(st.lists(st.tuples(st.integers(0, 500_000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=5))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{count}{unit}" for count, unit in parts)
    assert go_values.parse_duration_ns(text) == sum(count * UNITS[unit] for count, unit in parts)
    assert go_values.parse_duration_ns("-" + text) == -go_values.parse_duration_ns(text)


@given(st.integers(-(10**15), 10**15))
def test_a_written_duration_reads_back(microseconds: int) -> None:
    seconds = microseconds / 1e6
    assert abs(go_values.parse_duration(go_values.format_duration(seconds)) - seconds) < 1e-6


@given(st.text(alphabet="0123456789._-+xbohmsnuµabf ", max_size=12) | st.text(max_size=12))
def test_any_text_gives_a_value_or_a_value_error(text: str) -> None:
    for function in (go_values.parse_duration_ns, go_values.parse_int, go_values.parse_bool):
        try:
            value = function(text)
        except ValueError:
            continue
        assert -(2**63) <= value <= 2**63 - 1
