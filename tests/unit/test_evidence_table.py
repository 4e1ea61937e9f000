"""Reading tables of evidence: what ships, what is refused and how that is told, and what a prediction may see."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.errors import InputError
from costsim.evidence.columns import ANSWERS, KINDS, MEASURED, blanked, is_answer, kind_of
from costsim.evidence.table import MAX_BYTES, UNGROUPED, group_of, number, parse, read, shipped

HEADER = "id,hardware,n_devices,layers,d_model,step_time_s"


def refused(text: str, kind=None) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text, "rows.csv", kind)
    return str(caught.value).split("\n")


# --- what ships -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rows"), [("throughput", 667), ("memory", 96), ("runs", 107)])
def test_all_of_the_evidence_ships(kind, rows):
    table = shipped(kind)
    assert (table.kind, len(table.rows)) == (kind, rows)
    assert kind_of(tuple(table.rows[0].cells)) == kind
    assert all(row.cells["source_url"] and row.cells["source_title"] for row in table.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flag_has_a_reason_and_a_reason_a_flag(kind):
    rows = shipped(kind).rows
    assert all(bool(row.cells.get("flag")) == bool(row.cells.get("flag_reason")) for row in rows)
    assert any(row.cells.get("flag") for row in rows) or kind == "serving"


def test_the_flags_are_those_that_their_readme_explains():
    text = (Path(__file__).parents[2] / "costsim/data/evidence/README.md").read_text(encoding="utf-8")
    told = {name.strip(): int(count) for name, count in re.findall(r"^\| ([a-z ]+) \| (\d+) \|", text, re.MULTILINE)}
    found: dict[str, int] = {}
    for kind in KINDS:
        for row in shipped(kind).rows:
            if row.cells.get("flag"):
                found[row.cells["flag"]] = found.get(row.cells["flag"], 0) + 1
    assert found == told


def test_duplicates_are_two_rows_of_two_groups_with_one_speed():
    by_key: dict[str, list] = {}
    for row in shipped("throughput").rows:
        if row.cells["duplicate_key"]:
            by_key.setdefault(row.cells["duplicate_key"], []).append(row.cells)
    assert len(by_key) == 3
    for first, second in by_key.values():
        assert first["source_group"] != second["source_group"]
        speeds = [number(row, "derived_tok_per_s_per_device") for row in (first, second)]
        assert speeds[0] == pytest.approx(speeds[1], rel=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_rows_of_two_groups_are_one_result(kind):
    """The same model on the same devices at the same speed to four digits, published twice, is marked as such."""
    seen: dict[tuple[str, ...], dict[str, str]] = {}
    for row in shipped(kind).rows:
        cells = row.cells
        speed = cells.get("derived_tok_per_s_per_device", "")
        if not speed or cells["duplicate_key"]:
            continue
        key = (cells["model"], cells["hardware"], cells["n_devices"], cells["precision"], f"{float(speed):.4g}")
        assert seen.setdefault(key, cells)["source_group"] == cells["source_group"], row.id


# --- reading ----------------------------------------------------------------------------------------------------------


def test_rows_keep_their_line_their_cells_and_their_id():
    table = parse(f'{HEADER},note\r\na, H100 ,8,2,4,1.5,"two\nlines"\r\n\r\n,A100,8,n/a,4,2,\r\n', "rows.csv")
    assert [(row.id, row.line) for row in table.rows] == [("a", 2), ("row-2", 5)]
    first, second = (row.cells for row in table.rows)
    assert first["hardware"] == "H100"
    assert first["note"] == "two\nlines"
    assert second["id"] == "row-2"
    assert number(second, "layers") is None
    assert number(second, "pp") is None
    assert number(second, "step_time_s") == 2.0


def test_a_table_without_ids_counts_its_rows():
    table = parse("hardware,n_devices,layers,d_model,tok_per_s\nH100,8,2,4,1\nH100,8,2,4,1\n", "rows.csv")
    assert [row.id for row in table.rows] == ["row-1", "row-2"]


def test_a_byte_order_mark_is_none_of_the_header(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\na,H100,8,2,4,1\n".encode())
    assert read(tmp_path / "rows.csv").rows[0].id == "a"


def test_a_speed_table_with_peaks_is_a_memory_table_where_that_is_asked():
    text = f"{HEADER},peak_mem_gib\na,H100,8,2,4,1,60\n"
    assert parse(text, "rows.csv").kind == "throughput"
    assert parse(text, "rows.csv", "memory").kind == "memory"


def test_groups_are_source_groups_else_organisations():
    assert group_of({"source_group": "a", "org": "b"}) == "a"
    assert group_of({"source_group": "", "org": "b"}) == "b"
    assert group_of({}) == UNGROUPED


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rows.csv: is empty"),
        ("\n \n,,\n", "rows.csv: is empty"),
        (f"{HEADER}\n", "rows.csv: has a header and no rows"),
        ('{"a": 1}', "rows.csv:1: is JSON or a page, not CSV"),
        ("<html>\n", "is JSON or a page, not CSV"),
        (HEADER.replace(",", ";") + "\na;b\n", "is separated by semicolons, not by commas"),
        (HEADER.replace(",", "\t") + "\na\tb\n", "is separated by tabs"),
        ("a,b\n1,2\n", "is none of the evidence tables"),
        (f"{HEADER},id\na,H,1,1,1,1,b\n", "rows.csv:1: 'id': stands twice in the header"),
        (f"{HEADER}\na,H100\n", "rows.csv:2: the row has 2 cells, the header has 6"),
        (f"{HEADER}\na,H100,8,1,1,1,\n", "rows.csv:2: the row has 7 cells"),
        (f'{HEADER}\na,"H100,8,1,1,1\n', "is not CSV: unexpected end of data"),
        (f'{HEADER}\na,"H"100,8,1,1,1\n', "rows.csv:2: is not CSV"),
        (f"{HEADER}\na,{'H' * 140_000},8,1,1,1\n", "is not CSV: field larger than"),
        (f"{HEADER}\na,H100,8,1,1,1\n\na,H100,8,1,1,1\n", "rows.csv:4: id: the id 'a' is that of line 2 already"),
        ("id,hardware,layer,d_model,step_time_s\na,H,1,1,1\n", "did you mean 'layer'?"),
        ("id,hardware,tokens_b\na,H,1\n", "no column 'device_hours_used' or 'reported_device_hours'"),
    ],
)
def test_what_is_no_table_is_told(text, message):
    assert any(message in line for line in refused(text)), refused(text)


@pytest.mark.parametrize("cell", ["x", "nan", "inf", "-inf", "1_000", "1.5.2", "1e999", "0x10", "8 GPUs", '"8,192"'])
def test_what_is_no_number_is_told_with_line_and_column(cell):
    (message,) = refused(f"{HEADER}\nok,H100,8,1,1,1\na,H100,8,1,1,{cell}\n")
    assert message.startswith("rows.csv:3: a: step_time_s: ")
    assert "is not a finite number; expected a number above zero" in message


@pytest.mark.parametrize("cell", ["0", "-1", "-0.5"])
def test_what_is_too_small_is_told(cell):
    assert "is too small" in refused(f"{HEADER}\na,H100,8,{cell},1,1\n")[0]


def test_all_problems_are_told_at_once_in_the_order_of_the_file_and_not_more_than_fit_a_screen():
    told = refused(f"{HEADER}\na,H,x,y,1,1\nb,H\nc,H,1,1,z,1\n")
    assert [re.match(r"rows\.csv:(\d+)", line)[1] for line in told] == ["2", "2", "3", "4"]
    many = refused(HEADER + "\n" + "".join(f"r{i},H,x,1,1,1\n" for i in range(100)))
    assert len(many) == 21
    assert many[-1] == "rows.csv: and 80 more problems"


def test_a_table_of_another_kind_is_told_as_such():
    text = "id,memory_kind,hardware,n_devices,layers,d_model,peak_mem_gib\na,x,H,1,1,1,1\n"
    assert "is a table of memory, not of throughput" in refused(text, "throughput")[0]


def test_other_encodings_and_endless_files_are_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes(f"{HEADER}\na,H100 \xe9,8,1,1,1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv:2:8: is not UTF-8 text"):
        read(tmp_path / "latin.csv")
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="is larger than"):
        read(tmp_path / "large.csv")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.csv")


@given(st.text(max_size=300))
def test_no_text_makes_it_fail_otherwise(text):
    try:
        table = parse(text, "rows.csv")
    except InputError:
        return
    assert table.rows


@given(st.lists(st.lists(st.text(max_size=8), min_size=6, max_size=6), max_size=5))
def test_no_cells_make_it_fail_otherwise(rows):
    import io

    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(HEADER.split(","))
    writer.writerows(rows)
    try:
        table = parse(stream.getvalue(), "rows.csv")
    except InputError:
        return
    ids = [row.id for row in table.rows]
    assert len(ids) == len(set(ids))


# --- what a prediction may see ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_blanked_rows_hold_no_answer(kind):
    for row in shipped(kind).rows:
        seen = blanked(row.cells, kind)
        assert seen.keys() == row.cells.keys()
        for column, cell in seen.items():
            assert not cell or not is_answer(kind, column)
        assert not re.search(r"\d", seen.get("quote", ""))


@pytest.mark.parametrize("kind", KINDS)
def test_measured_columns_are_columns_of_the_table_or_of_another(kind):
    known = {column for each in KINDS for column in shipped(each).rows[0].cells}
    models_output = {"plain_roofline_out_tok_s_per_gpu", "calibrated_roofline_out_tok_s_per_gpu"}  # not shipped
    assert set(MEASURED[kind]) <= known | {"step_time_incl_eval_s"} | models_output


@pytest.mark.parametrize(
    "column",
    ["step_time_s", "tok_per_s_per_device", "tflops_per_device", "mfu_pct", "hfu_pct", "peak_mem_gib", "mlperf_minutes",
     "derived_6nd_tflops", "derived_anything", "consistency_flag", "flag", "flag_reason", "duplicate_key"],
)  # fmt: skip
def test_what_tells_the_speed_is_an_answer(column):
    assert is_answer("throughput", column)


@pytest.mark.parametrize(
    "column",
    ["reported_mfu_pct", "reported_device_hours", "device_hours_used", "device_hours_basis", "reported_wallclock_days",
     "implied_6nd_mfu_pct", "goodput_vs_reported_speed", "reported_cost_usd", "energy_mwh", "co2_t", "final_val_loss"],
)  # fmt: skip
def test_what_tells_the_hours_is_an_answer(column):
    assert is_answer("runs", column)


@pytest.mark.parametrize("column", ["tokens_b", "n_devices", "seq_len", "hardware", "precision", "framework", "model"])
def test_inputs_are_no_answers(column):
    assert not any(is_answer(kind, column) for kind in KINDS)
    assert not ANSWERS.match(column)
