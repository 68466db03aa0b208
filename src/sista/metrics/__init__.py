"""What scikit-learn and torchmetrics lack: protocol Dice, the pointing game, contrast-to-noise, retrieval, intervals, paired tests.

NumPy in; floats, arrays or small frozen dataclasses out. NaN says "not defined here", never zero.
"""
