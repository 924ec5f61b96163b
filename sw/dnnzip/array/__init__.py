"""The PE array: layers and programs, memory image, reference and golden model; ``where`` names the file in messages."""
