"""Objectives of every kind, on which the default of a search is chosen and reported.

The rule that splits them was written before anything was measured: an objective whose name has an
even CRC-32 chooses, the others report (`objectives.half`). All encodings of an objective are in the
same half.
"""
