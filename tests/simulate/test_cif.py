"""Structures from CIF files, and what is none."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import batio3, scattering_factor, structure, structure_factor

PEROVSKITE = """data_test
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 4 m m'
_symmetry_Int_Tables_number 99
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""
SITES = """Ba1 Ba 0 0 0 1
Ti1 {ti} 0.5 0.5 0.5224 {share}
O1 O 0.5 0.5 -0.0244 1
O2 O 0.5 0 0.4895 1"""


def cif(path, ti="Ti", share=1.0, more=""):
    sites = SITES.format(ti=ti, share=share) + more
    path.write_text(PEROVSKITE.format(a=3.99095, c=4.0352, sites=sites))
    return path


def test_a_cif_file_gives_the_bundled_structure(tmp_path):
    pytest.importorskip("ase", reason="ase comes with the extra simulate")
    read = structure(cif(tmp_path / "batio3.cif"), debye_waller=0.0)
    bundled = replace(batio3(), debye_waller=dict.fromkeys(["Ba", "Ti", "O"], 0.0))
    hkl = np.array([[0, 0, 1], [0, 0, -2], [1, 0, 1], [1, 1, 3]])
    assert np.allclose(structure_factor(read, hkl), structure_factor(bundled, hkl))
    assert read.source.endswith("batio3.cif")


def test_a_mixed_site_scatters_by_its_shares(tmp_path):
    pytest.importorskip("ase", reason="ase comes with the extra simulate")
    mixed = structure(
        cif(tmp_path / "mixed.cif", share=0.6, more="\nZr1 Zr 0.5 0.5 0.5224 0.4"),
        debye_waller=0.0,
    )
    hkl = np.array([[0, 0, 1], [1, 1, 2]])
    g = mixed.g_length(hkl)
    phase = np.exp(-2j * np.pi * hkl @ [0.5, 0.5, 0.5224])
    titanium = structure(cif(tmp_path / "pure.cif"), debye_waller=0.0)
    change = 0.4 * (scattering_factor("Zr", g) - scattering_factor("Ti", g)) * phase
    expected = structure_factor(titanium, hkl) + change
    assert np.allclose(structure_factor(mixed, hkl), expected)


def test_what_is_no_structure_is_said_in_one_line(tmp_path):
    pytest.importorskip("ase", reason="ase comes with the extra simulate")
    with pytest.raises(ScanError, match=r"ermno4.*ermno3\+"):
        structure("ermno4")
    bad = tmp_path / "bad.cif"
    for content in (b"", b"\x00\xff" * 40, b"data_x\n_cell_length_a 4\n", b"hello"):
        bad.write_bytes(content)
        with pytest.raises(ScanError, match=r"bad\.cif") as caught:
            structure(bad)
        assert "\n" not in str(caught.value)
    for share in ("nan", "-0.5", "1.x", "2"):
        with pytest.raises(ScanError, match=r"shares\.cif"):
            structure(cif(tmp_path / "shares.cif", share=share))
    with pytest.raises(ScanError, match="debye_waller"):
        structure(cif(tmp_path / "fine.cif"), debye_waller=-1.0)
    for element in ("Xx", "Rf", "Qq"):
        with pytest.raises(ScanError, match=r"unknown\.cif") as caught:
            structure(cif(tmp_path / "unknown.cif", ti=element))
        assert element in str(caught.value)
    assert "'Qq' is not a chemical element" in str(caught.value)
    with pytest.raises(ScanError, match="'Qq'"):
        scattering_factor("Qq", np.zeros(1))


def test_without_ase_a_cif_file_asks_for_it(tmp_path, monkeypatch):
    path = cif(tmp_path / "batio3.cif")
    monkeypatch.setitem(sys.modules, "ase", None)
    monkeypatch.setitem(sys.modules, "ase.io", None)
    with pytest.raises(ScanError, match=r"napari-ferro4d\[simulate\]"):
        structure(path)
