"""Files and directories: finding, reading, writing them whole."""
