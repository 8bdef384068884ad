"""One member at run time: the pump, the writer, and those who wait."""
