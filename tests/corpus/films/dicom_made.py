"""DICOM files made by code: a known array in any transfer syntax, photometric interpretation and bit depth that can be encoded here."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pydicom", reason="pydicom is not installed (extra `dicom`)")
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame

NATIVE = {
    "Implicit VR Little Endian": uid.ImplicitVRLittleEndian,
    "Explicit VR Little Endian": uid.ExplicitVRLittleEndian,
    "Explicit VR Big Endian": uid.ExplicitVRBigEndian,
    "Deflated Explicit VR Little Endian": uid.DeflatedExplicitVRLittleEndian,
}
COMPRESSED = {
    "RLE Lossless": uid.RLELossless,
    "JPEG Baseline (8 bit, lossy)": uid.JPEGBaseline8Bit,
    "JPEG Extended (12 bit, lossy)": uid.JPEGExtended12Bit,
    "JPEG Lossless": uid.JPEGLossless,
    "JPEG Lossless SV1": uid.JPEGLosslessSV1,
    "JPEG-LS Lossless": uid.JPEGLSLossless,
    "JPEG-LS Near-Lossless (error 3)": uid.JPEGLSNearLossless,
    "JPEG 2000 Lossless": uid.JPEG2000Lossless,
    "JPEG 2000 (lossy)": uid.JPEG2000,
    "HTJ2K Lossless": uid.HTJ2KLossless,
    "HTJ2K (lossy)": uid.HTJ2K,
}
SYNTAXES = NATIVE | COMPRESSED
BOUND = {  # the greatest difference in gray levels of 8 bits, (gray, colour); JPEG-LS near in its own levels
    "JPEG Baseline (8 bit, lossy)": (4, 4),
    "JPEG Extended (12 bit, lossy)": (1, 1),
    "JPEG-LS Near-Lossless (error 3)": (3, 3),
    "JPEG 2000 (lossy)": (4, 4),
    "HTJ2K (lossy)": (4, 4),
}


def film(bits: int, signed: bool = False, height: int = 48, width: int = 56, seed: int = 0) -> np.ndarray:
    """A smooth film with a little noise that uses the whole range of `bits`, both ends included."""
    y, x = np.mgrid[0:height, 0:width]
    wave = np.sin(x / 9) * np.cos(y / 11) + 0.02 * np.random.default_rng(seed).standard_normal((height, width))
    levels = np.rint((wave - wave.min()) / (wave.max() - wave.min()) * ((1 << bits) - 1)).astype(np.int64)
    levels -= (1 << (bits - 1)) if signed else 0
    return levels.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def colour_film() -> np.ndarray:
    """An 8-bit colour film [H, W, 3]."""
    return np.stack([film(8, seed=seed) for seed in (1, 2, 3)], axis=2)


def dataset(pixels: np.ndarray, bits: int | None = None, photometric: str = "", **elements: Any) -> Dataset:
    """A DX film with native pixels in explicit VR little endian, with names, dates and UIDs that must not leave a reader."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    ds.PatientName, ds.PatientID, ds.PatientAge, ds.StudyDate = "Secret^Name", "SECRET-ID", "099Y", "20200101"
    ds.InstitutionName, ds.AccessionNumber = "Secret Hospital", "SECRET-NO"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition, ds.ImageLaterality = "DX", "CHEST", "PA", "U"
    ds.Manufacturer, ds.ManufacturerModelName = "Maker", "Model 1"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    ds.PhotometricInterpretation = photometric or ("MONOCHROME2" if pixels.ndim == 2 else "RGB")
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = 8 * pixels.itemsize
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def to_bytes(ds: Dataset, syntax: str = uid.ExplicitVRLittleEndian, **options: Any) -> bytes:
    """The file of a data set in a transfer syntax; skips the test, with the reason, when its encoder is missing here."""
    syntax = uid.UID(syntax)
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == uid.ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    if syntax.is_encapsulated:
        _compress(ds, syntax, options)
    buffer = io.BytesIO()
    ds.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, enforce_file_format=True)
    return buffer.getvalue()


def _compress(ds: Dataset, syntax: uid.UID, options: dict[str, Any]) -> None:
    kind = f"{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}"
    shape = (ds.Rows, ds.Columns) + ((3,) if ds.SamplesPerPixel == 3 else ())
    pixels = np.frombuffer(ds.PixelData, kind).reshape(shape)
    if syntax in (uid.RLELossless, uid.JPEG2000Lossless, uid.JPEG2000):
        lossy = {"j2k_psnr": [60]} if syntax == uid.JPEG2000 else {}
        if ds.SamplesPerPixel == 3 and syntax != uid.RLELossless:
            ds.PhotometricInterpretation = "YBR_RCT" if syntax == uid.JPEG2000Lossless else "YBR_ICT"
        pytest.importorskip("openjpeg", reason="pylibjpeg-openjpeg is not installed")
        ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        ds.compress(syntax, pixels, generate_instance_uid=False, **lossy, **options)
        return
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless):
        frame = _by_gdcm(ds, syntax)
    elif syntax == uid.JPEGBaseline8Bit:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=97, subsampling=0, **options)
        frame = buffer.getvalue()
        ds.PhotometricInterpretation = "YBR_FULL_422" if ds.SamplesPerPixel == 3 else ds.PhotometricInterpretation
    else:
        codecs = pytest.importorskip("imagecodecs", reason="imagecodecs, which encodes this syntax, is not installed")
        if syntax == uid.JPEGExtended12Bit:
            frame = codecs.jpeg8_encode(pixels, level=98, bitspersample=12)
        elif syntax == uid.JPEGLSNearLossless:
            frame = codecs.jpegls_encode(pixels, level=3)
        else:
            frame = codecs.htj2k_encode(pixels, reversible=syntax == uid.HTJ2KLossless)
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def _by_gdcm(ds: Dataset, syntax: uid.UID) -> bytes:
    """The frame as GDCM encodes it, by way of files: its objects in memory are freed twice by their Python wrappers."""
    gdcm = pytest.importorskip("gdcm", reason="python-gdcm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        plain, changed = Path(folder) / "plain.dcm", Path(folder) / "changed.dcm"
        ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        ds.save_as(plain, enforce_file_format=True)
        ds.file_meta.TransferSyntaxUID = syntax
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        if not change.Change():
            pytest.skip(f"GDCM cannot encode {syntax.name}")
        writer.SetFileName(str(changed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        encoded = pydicom.dcmread(changed)
        ds.PhotometricInterpretation = encoded.PhotometricInterpretation
        return get_frame(encoded.PixelData, 0, number_of_frames=1)
