"""Parquet files of which one bit is another one than was written."""

import pyarrow.parquet as pq


def damage(path, column):
    """Flip a bit near the end of a column of the first row group, among its values."""
    group = pq.read_metadata(path).row_group(0)
    [chunk] = (
        chunk for place in range(group.num_columns) if (chunk := group.column(place)).path_in_schema == column
    )
    begin = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    content = bytearray(path.read_bytes())
    content[begin + chunk.total_compressed_size - 8] ^= 0x10
    path.write_bytes(content)
