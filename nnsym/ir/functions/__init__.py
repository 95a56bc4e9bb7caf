"""Functions of one variable: by family, one file each, and the lines, pieces and curves that all of them share."""
