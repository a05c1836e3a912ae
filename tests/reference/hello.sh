#!/bin/bash
# hello as a tutorial on xinetd would write it: the plain reference that the program is compared with.
echo -n "Hello World:"
date
