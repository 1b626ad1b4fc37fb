ALTER TABLE measure.touched DROP CONSTRAINT pk_touched;
