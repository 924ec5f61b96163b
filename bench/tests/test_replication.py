"""Copies of a placed design, as ``dnnzip_bench.hardware.replication`` makes them."""

import copy
import re

import pytest

from dnnzip_bench.hardware.replication import FIXED, pass_on, replicate


def cell(kind, place, **connections):
    """Return a cell as nextpnr writes it."""
    attributes = {"NEXTPNR_BEL": place, "BEL": "X0/Y0/ASKED", "BEL_STRENGTH": "1"}
    return {"type": kind, "attributes": attributes, "connections": connections}


def net(*bits):
    """Return a routed net: two wires, the second one behind a switch."""
    route = "X2/Y3/F0;;1;X2/Y3/DI0;X2/Y3/0_0_F0->0_0_DI0;1"
    return {"bits": list(bits), "attributes": {"ROUTING": route, "keep": "1"}}


@pytest.fixture
def design():
    """Return a flip-flop behind a LUT, with two pins, on a global clock."""
    cells = {
        "clk$tr_io": cell("TRELLIS_IO", "X0/Y9/PIOA", B=[1], O=[2]),
        "buffer": cell("DCCA", "X5/Y0/TDCC0", CLKI=[2], CLKO=[3]),
        "d$tr_io": cell("TRELLIS_IO", "X9/Y0/PIOA", B=[4], O=[5]),
        "q$tr_io": cell("TRELLIS_IO", "X9/Y9/PIOB", B=[6], I=[8], T=[]),
        "lut": cell("TRELLIS_COMB", "X2/Y3/SLICEA.K0", A=[5], B=["1"], F=[7]),
        "ff": cell("TRELLIS_FF", "X2/Y3/SLICEA.FF0", CLK=[3], DI=[7], Q=[8]),
    }
    names = ("clk", "clk_in", "global", "d", "d_in", "q", "f", "q_out")
    ports = {"clk": [1], "d": [4], "q": [6]}
    module = {
        "settings": {"pack": "1", "place": "1", "route": "1"},
        "attributes": {},
        "ports": {name: {"direction": "input", "bits": bits} for name, bits in ports.items()},
        "cells": cells,
        "netnames": {name: net(number) for number, name in enumerate(names, 1)},
    }
    return {"creator": "nextpnr", "modules": {"top": module}}


def test_cells_move_and_pins_are_free(design):
    given = copy.deepcopy(design)
    made = replicate(design, [(0, 0), (56, 24)], ["clk"])["modules"]["top"]
    assert design == given
    cells = made["cells"]
    assert {name: each["attributes"].get("NEXTPNR_BEL") for name, each in cells.items()} == {
        "clk$tr_io": "X0/Y9/PIOA",
        "buffer": "X5/Y0/TDCC0",
        "d$tr_io": None,
        "q$tr_io": None,
        "lut": "X2/Y3/SLICEA.K0",
        "ff": "X2/Y3/SLICEA.FF0",
        "copy_1.d$tr_io": None,
        "copy_1.q$tr_io": None,
        "copy_1.lut": "X58/Y27/SLICEA.K0",
        "copy_1.ff": "X58/Y27/SLICEA.FF0",
    }
    for name in ("lut", "ff", "copy_1.lut", "copy_1.ff"):
        assert cells[name]["attributes"]["BEL_STRENGTH"] == FIXED
        assert "BEL" not in cells[name]["attributes"]
    # Otherwise nextpnr takes placing and routing for done; packed it is.
    assert made["settings"] == {"pack": "1"}


def test_a_copy_shares_the_clock_alone(design):
    made = replicate(design, [(0, 0), (56, 0)], ["clk"])["modules"]["top"]
    first, second = made["cells"]["ff"]["connections"], made["cells"]["copy_1.ff"]["connections"]
    assert first["CLK"] == second["CLK"] == [3]
    assert not {*first["DI"], *first["Q"]} & {*second["DI"], *second["Q"]}
    lut = made["cells"]["copy_1.lut"]["connections"]
    assert (lut["F"], lut["B"]) == (second["DI"], ["1"])
    assert lut["A"] == made["cells"]["copy_1.d$tr_io"]["connections"]["O"] == made["netnames"]["copy_1.d_in"]["bits"]
    assert set(made["ports"]) == {"clk", "d", "q", "copy_1.d", "copy_1.q"}
    assert made["ports"]["copy_1.q"]["bits"] == made["netnames"]["copy_1.q"]["bits"] != made["netnames"]["q"]["bits"]
    assert set(made["netnames"]) - {name for name in made["netnames"] if name.startswith("copy_1.")} == set(
        design["modules"]["top"]["netnames"]
    )
    assert not {"copy_1.clk", "copy_1.global"} & set(made["netnames"])


def test_wires_between_cells_move_and_those_to_pins_and_clock_are_left_to_the_router(design):
    made = replicate(design, [(0, 0), (56, 24)], ["clk"])["modules"]["top"]
    routes = {name: each["attributes"].get("ROUTING") for name, each in made["netnames"].items()}
    assert {name: route for name, route in routes.items() if route is not None} == {
        "f": "X2/Y3/F0;;1;X2/Y3/DI0;X2/Y3/0_0_F0->0_0_DI0;1",
        "copy_1.f": "X58/Y27/F0;;1;X58/Y27/DI0;X58/Y27/0_0_F0->0_0_DI0;1",
    }


def test_copies_on_one_place_are_refused(design):
    message = "X2/Y3/SLICEA.K0 is taken twice: by lut and by copy_1.lut"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replicate(design, [(0, 0), (0, 0)], ["clk"])


def test_an_input_is_passed_on_by_a_lut_in_the_middle(design):
    given = copy.deepcopy(design)
    made = pass_on(design, "d")["modules"]["top"]
    assert design == given
    passer = made["cells"].pop("d$passed_on")
    (new,) = passer["connections"]["F"]
    assert new not in {bit for net in design["modules"]["top"]["netnames"].values() for bit in net["bits"]}
    assert passer["connections"]["D"] == made["cells"]["d$tr_io"]["connections"]["O"] == [5]
    assert made["cells"]["lut"]["connections"] == {"A": [new], "B": ["1"], "F": [7]}
    for name in ("clk$tr_io", "buffer", "q$tr_io", "ff"):
        assert made["cells"][name] == given["modules"]["top"]["cells"][name]
    # As the device computes it: input D is the top bit of the place in the table.
    assert [bit == "1" for bit in reversed(passer["parameters"]["INITVAL"])] == [place >= 8 for place in range(16)]
    assert passer["attributes"] == {"NEXTPNR_BEL": "X2/Y3/SLICED.K0"}
    nets = made["netnames"]
    assert nets.pop("d$passed")["bits"] == [new]
    assert {name for name, net in nets.items() if "ROUTING" not in net["attributes"]} == {"d_in"}


def test_a_lut_is_put_where_none_is(design):
    cells = design["modules"]["top"]["cells"]
    cells["far"] = cell("TRELLIS_COMB", "X9/Y3/SLICEA.K0")
    cells["near"] = cell("TRELLIS_COMB", "X6/Y3/SLICED.K0")

    def place():
        return pass_on(design, "d")["modules"]["top"]["cells"]["d$passed_on"]["attributes"]["NEXTPNR_BEL"]

    assert place() == "X6/Y3/SLICED.K1"
    for x in (2, 6, 9):
        for lut in "01":
            cells[f"{x}_{lut}"] = cell("TRELLIS_COMB", f"X{x}/Y3/SLICED.K{lut}")
    with pytest.raises(ValueError, match=r"^no tile of the design has room for a LUT$"):
        place()


def test_copies_of_what_is_passed_on_have_its_wires(design):
    made = pass_on(design, "d")
    made["modules"]["top"]["netnames"]["d$passed"]["attributes"]["ROUTING"] = "X2/Y3/F6;;1"
    copied = replicate(made, [(0, 0), (56, 24)], ["clk"])["modules"]["top"]
    assert copied["netnames"]["copy_1.d$passed"]["attributes"]["ROUTING"] == "X58/Y27/F6;;1"
    assert copied["cells"]["copy_1.d$passed_on"]["attributes"]["NEXTPNR_BEL"] == "X58/Y27/SLICED.K0"
    assert "ROUTING" not in copied["netnames"]["copy_1.d_in"]["attributes"]
