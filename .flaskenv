# What the command `flask` loads here, so that `flask doctor` is all there is to type.
FLASK_APP=chat.cli
